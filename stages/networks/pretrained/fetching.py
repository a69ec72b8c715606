"""Weights that were trained elsewhere: of a name that a network knows, or in a local file. Nothing in them executes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor

from stages.networks.common.contract import KnownWeights, NetworkDefinition, Normalisation
from stages.networks.common.weights import Metadata, metadata_of
from stages.runtime.errors import UserError
from stages.runtime.files import is_failed_write, missing

SUFFIXES = (".safetensors", ".pt", ".pth")


class StartingWeights(NamedTuple):
    """Pre-trained weights but for the head's, what images they expect, and where they come from."""

    state: dict[str, Tensor]
    image_size: int | None  # pixels a side; None: nobody knows
    normalisation: Normalisation
    source: str


def fetch_weights(network: NetworkDefinition[Any], weights: str) -> StartingWeights:
    """Return the weights of a name that the network knows, or of a file below data/pretrained.

    Raises UserError where they cannot be had, or hold anything but tensors.
    """
    file = _file(weights, network)
    if file is None:
        known = _known(weights, network)
        state = _downloaded(weights, known, network)
        size: int | None = known.image_size()
        normalisation, source = known.normalisation(), known.source
    else:
        state, description = _read(file, network)
        size, normalisation, source = network.weights_image_size, network.normalisation, str(file)
        if description:  # a network of this project
            size, normalisation = description.image_size, description.normalisation
    return StartingWeights(without_head(state, network.head), size, normalisation, source)


def without_head(state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """Return all weights whose names do not begin as those of the head."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(head)}


def weights_setting(network: NetworkDefinition[Any], weights: str) -> str:
    """Return what a message about weights begins with."""
    return f"params.yaml: networks.{network.name}.weights = {weights}"


def refuse_misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], key: str, network: str) -> None:
    """Raise UserError where weights lack names or shapes of a network, or have others; `key` says whose they are."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        lines = [f"{key} holds the weights of another network than {network}, or the same under other names"]
        lines += [f"{len(missing)} of {len(expected)} are missing, the first is {missing[0]}"] if missing else []
        lines += [f"{len(unknown)} belong nowhere, the first is {unknown[0]}"] if unknown else []
        raise UserError("; ".join(lines))
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            shapes = f"its {name} has shape {tuple(state[name].shape)}, here it has {tuple(tensor.shape)}"
            raise UserError(f"{key} does not fit: {shapes}; were they trained at another input_size?")


def _file(weights: str, network: NetworkDefinition[Any]) -> Path | None:
    """Return the file that `weights` names, which must be there, where DVC watches it; None for a name or none."""
    path, key = Path(weights), weights_setting(network, weights)
    if not path.suffix:
        return None
    if not path.resolve().is_relative_to(folder := Path(f"data/pretrained/{network.name}").resolve()):
        raise UserError(
            f"{key} must lie in {folder}, where DVC sees that it changes; copy it there, and write"
            f" data/pretrained/{network.name}/{path.name}"
        )
    if not path.is_file():
        line = weights_setting(network, missing(weights, "name a file, the name of weights that are known, or none"))
        raise UserError(line)
    if path.suffix not in SUFFIXES:
        raise UserError(f"{key} is none of {', '.join(SUFFIXES)}")
    return path


def _read(path: Path, network: NetworkDefinition[Any]) -> tuple[dict[str, Tensor], Metadata | None]:
    """Return the tensors of a file, and what a file of this project says of itself."""
    key = weights_setting(network, str(path))
    with _said_in_words(key):
        if path.suffix == ".safetensors":
            return dict(load_file(path)), metadata_of(path)
        state = dict(torch.load(path, map_location="cpu", weights_only=True))
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        names = ", ".join(map(str, list(state)[:10]))
        raise UserError(f"{key} holds {names} instead of weights by their names; save the model's state_dict() alone")
    return state, None


@contextmanager
def _said_in_words(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - each reader raises its own kinds; whichever it is, the file is of no use
        raise UserError(f"{key} cannot be read as weights alone: {error}") from None


def _known(weights: str, network: NetworkDefinition[Any]) -> KnownWeights:
    known = network.known_weights()
    if weights not in known:
        names = ", ".join([*known, "none"])
        key = weights_setting(network, weights)
        raise UserError(f"{key} is not known; choose {names}, or a file in data/pretrained/{network.name}")
    return known[weights]


def _downloaded(weights: str, known: KnownWeights, network: NetworkDefinition[Any]) -> dict[str, Tensor]:
    try:
        return known.fetch()
    except (URLError, OSError, RuntimeError, ImportError) as error:
        if is_failed_write(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{weights_setting(network, weights)} cannot be had from {known.source} ({reason}); offline, fetch its file"
            f" on another machine, place it as data/pretrained/{network.name}/{weights}.safetensors, and set"
            f" networks.{network.name}.weights to that path"
        ) from None
