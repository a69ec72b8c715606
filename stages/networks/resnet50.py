"""ResNet50 as torchvision builds it, from random or pre-trained weights.

Source: He et al., Deep Residual Learning for Image Recognition, 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from stages.lib.hyperparameters import Training, suggest_training

if TYPE_CHECKING:  # torchvision takes seconds to import, and who checks settings does not need it
    import optuna
    from torch import nn

HEAD = "fc."  # the layer that pre-trained weights are not taken for
# how the names of the weights begin that learn though `freeze` is set
LEARNS = {"none": "", "backbone": HEAD, "until_layer4": ("layer4.", HEAD)}


class Settings(Training):
    """params.yaml's section `networks.resnet50`."""

    freeze: Literal["none", "backbone", "until_layer4"]
    stochastic_depth: float = Field(ge=0, lt=1)
    input_size: Literal["weights", "prepared"]


def build(settings: Settings, classes: int, image_size: int) -> nn.Module:
    """Return the network: images (N, 3, H, W), normalised -> logits (N, classes). Any H and W from 32 on will do."""
    from torchvision.models import resnet50
    from torchvision.models.resnet import Bottleneck

    # each block starts as the identity, which eases the first epochs (Goyal et al., 2017)
    model: nn.Module = resnet50(num_classes=classes, zero_init_residual=True)
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    for number, block in enumerate(blocks, start=1):
        drop_branch(block.bn3, settings.stochastic_depth * number / len(blocks))
    return model


def drop_branch(last_layer: nn.Module, probability: float) -> None:
    """Leave a block's branch out of a picture's training step with this probability.

    Source: Huang et al., Deep networks with stochastic depth, 2016: rising linearly from block to block.
    """
    from torchvision.ops import stochastic_depth

    if probability:
        last_layer.register_forward_hook(
            lambda layer, _, output: stochastic_depth(output, probability, "row", training=layer.training)
        )


def suggest(trial: optuna.Trial, defaults: Settings) -> dict[str, Any]:
    """Return the settings that a trial of the tuning changes; for pre-trained weights also how much of them learns."""
    chosen = suggest_training(trial, defaults)
    if defaults.weights == "none":
        return chosen
    return chosen | {
        "freeze": trial.suggest_categorical("freeze", list(LEARNS)),
        "backbone_learning_rate_factor": trial.suggest_float("backbone_learning_rate_factor", 0.01, 1.0, log=True),
    }
