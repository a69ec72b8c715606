"""Networks to train: from random weights, or from some trained elsewhere: a name torchvision knows, or a local file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import nn

from stages.lib.hyperparameters import Training
from stages.lib.networks import network_module
from stages.lib.problems import Problem
from stages.lib.weights import described

KEY = "params.yaml: networks.{network}.weights = {weights}"


def new_network(name: str, settings: Training, classes: int, image_size: int) -> nn.Module:
    """Return a network to train: random weights, or those that `settings.weights` names."""
    module = network_module(name)
    model: nn.Module = module.build(settings, classes, image_size)
    load_pretrained(model, settings.weights, name, module.HEAD)
    for weight, parameter in model.named_parameters():
        parameter.requires_grad_(weight.startswith(module.LEARNS[settings.freeze]))
    return model


def input_size(network: str, settings: Training) -> int | None:
    """Return the width and height of the pictures that pre-trained weights expect; None: as they are prepared."""
    if settings.weights == "none" or getattr(settings, "input_size", "prepared") == "prepared":
        return None
    key = KEY.format(network=network, weights=settings.weights)
    path = Path(settings.weights)
    if not path.suffix:
        return int(_torchvision_weights(settings.weights, network, key).transforms().crop_size[0])
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    with _said_in_words(key):
        return described(path).get("image_size")


def load_pretrained(model: nn.Module, weights: str, network: str, head: str) -> None:
    """Copy weights into `model`, all but those of the layer whose names begin with `head` (its classes differ).

    `weights` is none, a name of torchvision's (IMAGENET1K_V2), or the path of a .safetensors, .pt or .pth file below
    data/pretrained/<network>/; the latter two are read with weights_only=True. Raises Problem where they cannot be
    had or do not fit.
    """
    if weights == "none":
        return
    key = KEY.format(network=network, weights=weights)
    path = Path(weights)
    state = _from_file(path, network, key) if path.suffix else _from_torchvision(weights, network, key)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(head)}
    expected = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(head)}
    if state.keys() != expected.keys():
        raise Problem(f"{key} holds the weights of another network than {network}")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            shapes = f"its {name} has shape {tuple(state[name].shape)}, here it has {tuple(tensor.shape)}"
            raise Problem(f"{key} does not fit: {shapes}; were they trained at another prepare.image_size?")
    model.load_state_dict(state, strict=False)


def _from_file(path: Path, network: str, key: str) -> dict[str, Any]:
    if not path.resolve().is_relative_to(folder := Path(f"data/pretrained/{network}").resolve()):
        raise Problem(
            f"{key} must lie in {folder}, where DVC sees that it changes; copy it there, and write"
            f" data/pretrained/{network}/{path.name}"
        )
    if not path.is_file():
        raise Problem(f"{key} does not exist; name a file, a torchvision weights name, or none")
    with _said_in_words(key):
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = dict(torch.load(path, map_location="cpu", weights_only=True))
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        names = ", ".join(map(str, state))
        raise Problem(f"{key} holds {names} instead of weights by their names; save the model's state_dict() alone")
    return state


@contextmanager
def _said_in_words(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - each reader raises its own kinds; whichever it is, the file is of no use
        raise Problem(f"{key} cannot be read as weights alone: {error}") from None


def _torchvision_weights(weights: str, network: str, key: str) -> Any:
    from torchvision.models import get_model_weights, list_models

    # iterating leaves out DEFAULT, an alias whose meaning changes with the library
    known = {member.name: member for member in get_model_weights(network)} if network in list_models() else {}
    if weights not in known:
        names = ", ".join([*known, "none"])
        raise Problem(f"{key} is not known; choose {names}, or a file in data/pretrained/{network}")
    return known[weights]


def _from_torchvision(weights: str, network: str, key: str) -> dict[str, Any]:
    chosen = _torchvision_weights(weights, network, key)
    cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(chosen.url).name
    try:
        return dict(chosen.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise Problem(
            f"{key} cannot be downloaded from {chosen.url} ({error});"
            f" offline, fetch that file on another machine and place it as {cache}, or set none"
        ) from None
