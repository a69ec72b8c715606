"""The study's own CNN: six blocks of 3x3 convolution, then two linear layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.settings import TrainingSettings

if TYPE_CHECKING:  # torch takes seconds to import, and who checks settings does not need it
    import optuna
    from torch import nn

CHANNELS = (64, 128, 256, 320, 256, 128)
HIDDEN = 128
SLOPE = 0.1  # of LeakyReLU below zero


class Settings(TrainingSettings):
    """params.yaml's sections `training` and `networks.own_cnn`."""

    freeze: Literal["none", "backbone"] = "none"
    dropout: float = Field(0.0, ge=0, lt=1)


class OwnCNN(NetworkDefinition[Settings]):
    """The network as published, but for the order of pooling and activation, which changes no number."""

    schema = Settings
    head = "classes."
    smallest_image = 2 ** len(CHANNELS)  # each block halves the sides

    def build(self, settings: Settings, classes: int, image_size: int) -> nn.Module:
        """Return the network; its hidden layer depends on how many whole smallest images fit into a side."""
        from torch import nn

        blocks: list[nn.Module] = []
        before = 3
        for channels in CHANNELS:
            blocks += [
                nn.Conv2d(before, channels, kernel_size=3, padding=1),
                nn.BatchNorm2d(channels),
                # LeakyReLU stands before the pool in the published network; both are monotone, so after it
                # the result is the same to the bit, from a quarter of the work
                nn.MaxPool2d(2),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
            before = channels
        inputs = before * (image_size // self.smallest_image) ** 2
        hidden = [
            nn.Flatten(),
            nn.Dropout(settings.dropout),
            nn.Linear(inputs, HIDDEN),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        layers = {"blocks": nn.Sequential(*blocks), "hidden": nn.Sequential(*hidden)}
        return nn.Sequential(OrderedDict(layers | {"classes": nn.Linear(HIDDEN, classes)}))

    def suggest(self, trial: optuna.Trial, defaults: Settings) -> dict[str, Any]:
        """Return the settings that a trial changes: those of every network, and dropout."""
        return super().suggest(trial, defaults) | {"dropout": trial.suggest_float("dropout", 0.0, 0.7)}


network = OwnCNN()
