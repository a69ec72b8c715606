"""EfficientNetV2-S as torchvision builds it: more accurate than ResNet50 for as many weights.

Source: Tan and Le, EfficientNetV2: smaller models and faster training, 2021.
"""

from typing import Any, Literal

from pydantic import Field

from stages.networks.common.settings import TrainingSettings
from stages.networks.common.torchvision import TorchvisionNetwork


class Settings(TrainingSettings):
    """params.yaml's sections `training` and `networks.efficientnet_v2_s`."""

    freeze: Literal["none", "backbone", "until_features.6"] = "none"
    stochastic_depth: float = Field(0.2, ge=0, lt=1)


class EfficientNetV2S(TorchvisionNetwork[Settings]):
    """torchvision's network, whose blocks may be skipped in training."""

    schema = Settings
    head = "classifier.1."
    partial_freezes = {"until_features.6": ("features.6.", "features.7.")}

    def options(self, settings: Settings) -> dict[str, Any]:
        """Have blocks skipped in training."""
        return {"stochastic_depth_prob": settings.stochastic_depth}


network = EfficientNetV2S()
