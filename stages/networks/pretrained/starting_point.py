"""What a network starts from, written for the stages behind: its weights, and a frozen backbone's graph."""

from pathlib import Path
from typing import Any

from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.settings import TrainingSettings
from stages.networks.common.starting_point import StartingPoint
from stages.runtime.errors import UserError
from stages.runtime.files import write_json


def write_starting_point(network: NetworkDefinition[Any], settings: TrainingSettings, folder: Path) -> None:
    """Write start.json, and for pre-trained weights weights.safetensors; for a frozen backbone also its graph.

    Raises UserError where weights cannot be had or do not fit, or where nobody knows on which images they were trained.
    """
    if settings.weights == "none":
        found = None
    else:
        from stages.networks.pretrained.fetching import fetch_weights  # torch, which takes seconds to import

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
    from stages.networks.pretrained.fetching import refuse_misfits, weights_setting, without_head

    model = network.build(settings, 2, start.image_size)
    expected = without_head(model.state_dict(), network.head)
    refuse_misfits(found.state, expected, weights_setting(network, settings.weights), network.name)
    file = folder / graph.WEIGHTS_FILE
    save_file({name: tensor.contiguous() for name, tensor in found.state.items()}, file)
    if start.frozen:
        exported = graph.export_graph(model, network.head.rstrip("."), normalisation, start.image_size)
        graph.save(graph.bind(graph.backbone_of(exported), file), folder)


def _image_size(network: NetworkDefinition[Any], settings: TrainingSettings, known: int | None) -> int:
    """Return pixels a side: what `input_size` says, or what the weights were trained on."""
    size = known if settings.input_size == "weights" else settings.input_size
    key = f"params.yaml: networks.{network.name}.input_size"
    if size is None:
        raise UserError(f"{key} = weights, but nobody knows on which images these were trained; set pixels a side, 224")
    if size < network.smallest_image:
        raise UserError(f"{key} = {size}, but {network.name} needs {network.smallest_image} or more")
    return int(size)
