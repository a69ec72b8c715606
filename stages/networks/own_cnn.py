"""The study's own CNN: six blocks of 3x3 convolution, then two linear layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from stages.lib.hyperparameters import Training, suggest_training
from stages.lib.problems import Problem

if TYPE_CHECKING:  # torch takes seconds to import, and who checks settings does not need it
    import optuna
    from torch import nn

CHANNELS = (64, 128, 256, 320, 256, 128)
HIDDEN = 128
SLOPE = 0.1  # of LeakyReLU below zero
REDUCTION = 2 ** len(CHANNELS)  # each block halves the sides
HEAD = "classes."  # the layer that pre-trained weights are not taken for
LEARNS = {"none": "", "backbone": HEAD}  # how the names of the weights begin that learn though `freeze` is set


class Settings(Training):
    """params.yaml's section `networks.own_cnn`."""

    freeze: Literal["none", "backbone"]
    dropout: float = Field(ge=0, lt=1)


def build(settings: Settings, classes: int, image_size: int) -> nn.Module:
    """Return the network: images (N, 3, image_size, image_size), normalised -> logits (N, classes).

    Raises Problem where the images are too small for six halvings.
    """
    from torch import nn

    if image_size < REDUCTION:
        raise Problem(f"params.yaml: prepare.image_size = {image_size}, but own_cnn needs {REDUCTION} or more")
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
    inputs = before * (image_size // REDUCTION) ** 2
    hidden = [nn.Flatten(), nn.Dropout(settings.dropout), nn.Linear(inputs, HIDDEN), nn.LeakyReLU(SLOPE, inplace=True)]
    return nn.Sequential(
        OrderedDict(blocks=nn.Sequential(*blocks), hidden=nn.Sequential(*hidden), classes=nn.Linear(HIDDEN, classes))
    )


def suggest(trial: optuna.Trial, defaults: Settings) -> dict[str, Any]:
    """Return the settings that a trial of the tuning changes."""
    return suggest_training(trial, defaults) | {"dropout": trial.suggest_float("dropout", 0.0, 0.7)}
