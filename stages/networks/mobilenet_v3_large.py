"""MobileNetV3-Large as torchvision builds it: made for phones, and fast on a CPU.

Source: Howard et al., Searching for MobileNetV3, 2019.
"""

from typing import Literal

from stages.networks.common.settings import TrainingSettings
from stages.networks.common.torchvision import TorchvisionNetwork


class Settings(TrainingSettings):
    """params.yaml's sections `training` and `networks.mobilenet_v3_large`."""

    freeze: Literal["none", "backbone", "until_features.13"] = "none"


class MobileNetV3Large(TorchvisionNetwork[Settings]):
    """torchvision's network."""

    schema = Settings
    head = "classifier.3."
    partial_freezes = {
        "until_features.13": ("features.13.", "features.14.", "features.15.", "features.16.", "classifier.0."),
    }


network = MobileNetV3Large()
