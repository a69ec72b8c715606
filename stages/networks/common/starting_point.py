"""What a network starts from, as the stage weights left it in data/weights/<network>; tune, train and embed read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.networks.common.contract import Colours, Network, Normalisation
from stages.networks.common.settings import TrainingSettings
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.files import read_json, write_json

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


def starting_point(network: str) -> StartingPoint:
    """Return what the stage weights found for a network."""
    return StartingPoint(**read_json(f"{FOLDER}/{network}/start.json"))


def write_starting_point(network: Network[Any], settings: TrainingSettings, folder: Path) -> None:
    """Write start.json, and for pre-trained weights weights.safetensors; for a frozen backbone also its graph.

    Raises UserError where weights cannot be had or do not fit, or where nobody knows on which images they were trained.
    """
    if settings.weights == "none":
        found = None
    else:
        from stages.networks.common.pretrained import fetch_weights  # torch, which takes seconds to import

        found = fetch_weights(network, settings.weights)
    normalisation = found.normalisation if found else network.normalisation
    start = StartingPoint(
        weights=settings.weights,
        source=found.source if found else "",
        head=network.head if found else "",
        frozen=found is not None and settings.freeze == "backbone",
        image_size=_image_size(network, settings, found and found.image_size),
        **normalisation._asdict(),
    )
    write_json(folder / "start.json", start.model_dump())
    if found is None:
        return
    from safetensors.torch import save_file

    from stages.networks.common import graph
    from stages.networks.common.pretrained import key_of_weights, refuse_misfits, without_head

    model = network.build(settings, 2, start.image_size)
    expected = without_head(model.state_dict(), network.head)
    refuse_misfits(found.state, expected, key_of_weights(network, settings.weights), network.name)
    file = folder / graph.WEIGHTS_FILE
    save_file({name: tensor.contiguous() for name, tensor in found.state.items()}, file)
    if start.frozen:
        exported = graph.export_graph(model, network.head.rstrip("."), normalisation, start.image_size)
        graph.save(graph.bind(graph.backbone_of(exported), file), folder)


def _image_size(network: Network[Any], settings: TrainingSettings, known: int | None) -> int:
    """Return pixels a side: what `input_size` says, or what the weights were trained on."""
    size = known if settings.input_size == "weights" else settings.input_size
    key = f"params.yaml: networks.{network.name}.input_size"
    if size is None:
        raise UserError(f"{key} = weights, but nobody knows on which images these were trained; set pixels a side, 224")
    if size < network.smallest_image:
        raise UserError(f"{key} = {size}, but {network.name} needs {network.smallest_image} or more")
    return int(size)


def new_network(network: Network[Any], settings: TrainingSettings, classes: int, image_size: int) -> nn.Module:
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
