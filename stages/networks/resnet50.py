"""ResNet50 as torchvision builds it, from random or pre-trained weights.

Source: He et al., Deep residual learning for image recognition, 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from stages.networks.common.settings import TrainingSettings
from stages.networks.common.torchvision import TorchvisionNetwork

if TYPE_CHECKING:
    from torch import nn


class Settings(TrainingSettings):
    """params.yaml's sections `training` and `networks.resnet50`."""

    freeze: Literal["none", "backbone", "until_layer4"] = "none"
    stochastic_depth: float = Field(0.0, ge=0, lt=1)


class ResNet50(TorchvisionNetwork[Settings]):
    """torchvision's network, whose blocks may be skipped in training."""

    schema = Settings
    head = "fc."
    partial_freezes = {"until_layer4": ("layer4.",)}

    def options(self, settings: Settings) -> dict[str, Any]:
        """Have each block start as the identity, which eases the first epochs (Goyal et al., 2017)."""
        return {"zero_init_residual": True}

    def build(self, settings: Settings, classes: int, image_size: int) -> nn.Module:
        """Return the network; images of any size from 32 pixels on will do."""
        from torchvision.models.resnet import Bottleneck

        model = super().build(settings, classes, image_size)
        blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
        for number, block in enumerate(blocks, start=1):
            drop_branch(block.bn3, settings.stochastic_depth * number / len(blocks))
        return model


def drop_branch(last_layer: nn.Module, probability: float) -> None:
    """Leave a block's branch out of an image's training step with this probability.

    Source: Huang et al., Deep networks with stochastic depth, 2016: rising linearly from block to block.
    """
    from torchvision.ops import stochastic_depth

    if probability:
        last_layer.register_forward_hook(
            lambda layer, _, output: stochastic_depth(output, probability, "row", training=layer.training)
        )


network = ResNet50()
