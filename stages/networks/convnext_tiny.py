"""ConvNeXt-Tiny as torchvision builds it: a convolutional network in the manner of transformers.

Source: Liu et al., A ConvNet for the 2020s, 2022.
"""

from typing import Any, Literal

from pydantic import Field

from stages.networks.common.settings import TrainingSettings
from stages.networks.common.torchvision import TorchvisionNetwork


class Settings(TrainingSettings):
    """params.yaml's sections `training` and `networks.convnext_tiny`."""

    freeze: Literal["none", "backbone", "until_features.6"] = "none"
    stochastic_depth: float = Field(0.1, ge=0, lt=1)


class ConvNeXtTiny(TorchvisionNetwork[Settings]):
    """torchvision's network, whose blocks may be skipped in training."""

    schema = Settings
    head = "classifier.2."
    partial_freezes = {"until_features.6": ("features.6.", "features.7.", "classifier.0.")}

    def options(self, settings: Settings) -> dict[str, Any]:
        """Have blocks skipped in training."""
        return {"stochastic_depth_prob": settings.stochastic_depth}


network = ConvNeXtTiny()
