"""Trained networks as files: the weights, and beside them all that prediction needs. Never pickle: nothing executes."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from stages.lib.files import finished_file
from stages.lib.networks import network_module
from stages.lib.picture_sets import MEAN, STANDARD_DEVIATION

METADATA = "study"  # one key: safetensors writes several in an order that changes from process to process


class Trained(NamedTuple):
    """A trained network and what it was trained for."""

    model: nn.Module
    network: str
    class_names: list[str]
    image_size: int


def save_weights(path: str | Path, trained: Trained, settings: dict[str, Any]) -> None:
    """Write the weights with the network's name and settings, the class names, the image size and the normalisation."""
    metadata = {
        "network": trained.network,
        "settings": settings,
        "class_names": trained.class_names,
        "image_size": trained.image_size,
        "mean": MEAN,
        "standard_deviation": STANDARD_DEVIATION,
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in trained.model.state_dict().items()}
    with finished_file(path) as unfinished:
        unfinished.write_bytes(save(tensors, {METADATA: json.dumps(metadata, sort_keys=True)}))


def described(path: str | Path) -> dict[str, Any]:
    """Return what `save_weights` wrote beside the weights; empty where another program wrote the file."""
    with safe_open(path, framework="pt") as file:
        return dict(json.loads((file.metadata() or {}).get(METADATA, "{}")))


def restore(path: str | Path, device: torch.device) -> Trained:
    """Return the network that `save_weights` wrote, ready for prediction."""
    metadata = described(path)
    module = network_module(metadata["network"])
    settings = module.Settings(**metadata["settings"])
    model = module.build(settings, len(metadata["class_names"]), metadata["image_size"])
    model.load_state_dict(load_file(path))
    model = model.to(device, memory_format=torch.channels_last).eval()
    return Trained(model, metadata["network"], metadata["class_names"], metadata["image_size"])
