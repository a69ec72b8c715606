"""What a network starts from, as the stage weights left it in data/weights/<network>; tune, train and embed read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.networks.common.contract import Colours, NetworkDefinition, Normalisation
from stages.networks.common.settings import TrainingSettings
from stages.runtime.config import Section
from stages.runtime.files import read_json

if TYPE_CHECKING:
    from torch import nn

FOLDER = "data/weights"


class StartingPoint(Section):
    """The file start.json: which weights, and what images they expect."""

    weights: str  # none: random ones
    source: str  # where weights came from, with the revision or digest that tells versions apart
    frozen: bool  # the backbone stays as it is: its features are computed once, and the head alone learns
    head: str  # how the names of the last layer's weights begin; "" where they are random as all others
    image_size: int  # pixels a side
    mean: Colours
    standard_deviation: Colours

    @property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of pixels, 0 to 255."""
        return Normalisation(self.mean, self.standard_deviation)


def read_starting_point(network: str) -> StartingPoint:
    """Return what the stage weights found for a network."""
    return StartingPoint(**read_json(f"{FOLDER}/{network}/start.json"))


def new_network(
    network: NetworkDefinition[Any], settings: TrainingSettings, classes: int, image_size: int
) -> nn.Module:
    """Return a network to train: random weights, or the pre-trained ones with a head that starts at zero."""
    model: nn.Module = network.build(settings, classes, image_size)
    if settings.weights != "none":
        from safetensors.torch import load_file

        model.load_state_dict(load_file(f"{FOLDER}/{network.name}/weights.safetensors"), strict=False)
        _zero_initialise_head(model, network.head)
    trainable = network.trainable_prefixes(settings.freeze)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(trainable))
    return model


def _zero_initialise_head(model: nn.Module, head: str) -> None:
    """Have a new head give the same logit for all classes, so that its noise does not reach the pre-trained weights.

    Source: Kolesnikov et al., Big Transfer (BiT), 2020.
    """
    from torch import nn

    for parameter in model.get_submodule(head.rstrip(".")).parameters():
        nn.init.zeros_(parameter)
