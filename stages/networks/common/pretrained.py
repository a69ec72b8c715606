"""Networks to train: from random weights, or from some trained elsewhere: a name that is known, or a local file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stages.networks.common.contract import KnownWeights, Network, Normalisation
from stages.networks.common.settings import Training
from stages.networks.common.weights import described, normalisation_of
from stages.runtime.errors import UserError

SUFFIXES = (".safetensors", ".pt", ".pth")


class ExpectedInput(NamedTuple):
    """What a network expects of its images: pixels a side (None: as they are prepared), and the normalisation."""

    image_size: int | None
    normalisation: Normalisation


def new_network(network: Network[Any], settings: Training, classes: int, image_size: int) -> nn.Module:
    """Return a network to train: random weights, or those that `settings.weights` names."""
    model: nn.Module = network.build(settings, classes, image_size)
    load_pretrained(model, settings.weights, network)
    trainable_prefixes = network.trainable_prefixes(settings.freeze)
    for weight, parameter in model.named_parameters():
        parameter.requires_grad_(weight.startswith(trainable_prefixes))
    return model


def expected_input(network: Network[Any], settings: Training) -> ExpectedInput:
    """Return what the images must be like for the weights that a training starts from.

    A file of this project's says so itself; of others the network's file does. Raises UserError where `input_size` asks
    for the size that the weights were trained on and nobody knows it.
    """
    file = _file(settings.weights, network)
    description: dict[str, Any] = {}
    if file is not None and file.suffix == ".safetensors":
        with _said_in_words(key_of_weights(network, settings.weights)):
            description = described(file)
    normalisation = normalisation_of(description) if description else network.normalisation
    if settings.weights == "none" or getattr(settings, "input_size", "prepared") == "prepared":
        return ExpectedInput(None, normalisation)
    if file is None:
        return ExpectedInput(_known(settings.weights, network).image_size(), normalisation)
    size = description.get("image_size", network.weights_image_size)
    if size is None:
        raise UserError(
            f"{key_of_weights(network, settings.weights)} does not say on images of which size it was trained; set"
            f" networks.{network.name}.input_size: prepared, and prepare.image_size to that size"
        )
    return ExpectedInput(size, normalisation)


def load_pretrained(model: nn.Module, weights: str, network: Network[Any]) -> None:
    """Copy weights into `model`, all but those of the head: its classes differ, so it starts at zero.

    `weights` is none, a name that the network knows (IMAGENET1K_V2), or the path of a .safetensors, .pt or .pth file
    below data/pretrained/<network>/; the latter two are read with weights_only=True. Raises UserError where they cannot
    be had or do not fit.
    """
    if weights == "none":
        return
    file = _file(weights, network)
    state = _downloaded(weights, network) if file is None else _read(file, network)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(network.head)}
    expected = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(network.head)}
    _complain_of_misfits(state, expected, key_of_weights(network, weights), network.name)
    model.load_state_dict(state, strict=False)
    _zero_initialise_head(model, network.head)


def _zero_initialise_head(model: nn.Module, head: str) -> None:
    """Let a new head say the same of all classes at first, so that its noise does not run through weights that know.

    Source: Kolesnikov et al., Big Transfer (BiT), 2020, whose heads start at zero.
    """
    layers = [module for name, module in model.named_modules() if f"{name}.".startswith(head)]
    last = [layer for layer in layers if next(layer.parameters(recurse=False), None) is not None][-1]
    for parameter in last.parameters():
        nn.init.zeros_(parameter)


def key_of_weights(network: Network[Any], weights: str) -> str:
    """Return what a message about weights begins with."""
    return f"params.yaml: networks.{network.name}.weights = {weights}"


def _complain_of_misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], key: str, network: str) -> None:
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        lines = [f"{key} holds the weights of another network than {network}, or the same under other names"]
        lines += [f"{len(missing)} of {len(expected)} are missing, the first is {missing[0]}"] if missing else []
        lines += [f"{len(unknown)} belong nowhere, the first is {unknown[0]}"] if unknown else []
        raise UserError("; ".join(lines))
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            shapes = f"its {name} has shape {tuple(state[name].shape)}, here it has {tuple(tensor.shape)}"
            raise UserError(f"{key} does not fit: {shapes}; were they trained at another prepare.image_size?")


def _file(weights: str, network: Network[Any]) -> Path | None:
    """Return the file that `weights` names, which must be there, where DVC watches it; None for a name or none."""
    path, key = Path(weights), key_of_weights(network, weights)
    if not path.suffix:
        return None
    if not path.resolve().is_relative_to(folder := Path(f"data/pretrained/{network.name}").resolve()):
        raise UserError(
            f"{key} must lie in {folder}, where DVC sees that it changes; copy it there, and write"
            f" data/pretrained/{network.name}/{path.name}"
        )
    if not path.is_file():
        raise UserError(f"{key} does not exist; name a file, the name of weights that are known, or none")
    if path.suffix not in SUFFIXES:
        raise UserError(f"{key} is none of {', '.join(SUFFIXES)}")
    return path


def _read(path: Path, network: Network[Any]) -> dict[str, Any]:
    key = key_of_weights(network, str(path))
    with _said_in_words(key):
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = dict(torch.load(path, map_location="cpu", weights_only=True))
    if not all(isinstance(value, Tensor) for value in state.values()):
        names = ", ".join(map(str, state))
        raise UserError(f"{key} holds {names} instead of weights by their names; save the model's state_dict() alone")
    return state


@contextmanager
def _said_in_words(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - each reader raises its own kinds; whichever it is, the file is of no use
        raise UserError(f"{key} cannot be read as weights alone: {error}") from None


def _known(weights: str, network: Network[Any]) -> KnownWeights:
    known = network.known_weights()
    if weights not in known:
        names = ", ".join([*known, "none"])
        key = key_of_weights(network, weights)
        raise UserError(f"{key} is not known; choose {names}, or a file in data/pretrained/{network.name}")
    return known[weights]


def _downloaded(weights: str, network: Network[Any]) -> dict[str, Tensor]:
    chosen = _known(weights, network)
    cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    try:
        return chosen.fetch()
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"{key_of_weights(network, weights)} cannot be downloaded from {chosen.url} ({error});"
            f" offline, fetch that file on another machine and place it as {cache}, or set none"
        ) from None
