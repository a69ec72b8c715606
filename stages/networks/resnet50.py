"""ResNet50 as torchvision builds it, from random or pre-trained weights.

Source: He et al., Deep Residual Learning for Image Recognition, 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.lib.hyperparameters import Training

if TYPE_CHECKING:  # torchvision takes seconds to import, and who checks settings does not need it
    import optuna
    from torch import nn
HEAD = "fc."  # the layer that pre-trained weights are not taken for


class Settings(Training):
    """params.yaml's section `networks.resnet50`."""


def build(settings: Settings, classes: int, image_size: int) -> nn.Module:
    """Return the network: images (N, 3, H, W), normalised -> logits (N, classes). Any H and W from 32 on will do."""
    from torchvision.models import resnet50

    model: nn.Module = resnet50(num_classes=classes)
    return model


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return the settings that a trial of the tuning changes."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
    }
