"""Trained networks as files: the weights, and beside them all that prediction needs. Never pickle: nothing executes."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from stages.networks.common.contract import IMAGENET, Network, Normalisation
from stages.networks.common.prediction import add_flip_tta
from stages.runtime.files import atomic_file

METADATA = "study"  # one key: safetensors writes several in an order that changes from process to process


class Trained(NamedTuple):
    """A trained network and what it was trained for."""

    model: nn.Module
    class_names: list[str]
    image_size: int
    normalisation: Normalisation = IMAGENET


def save_weights(path: str | Path, trained: Trained, network: str, settings: dict[str, Any]) -> None:
    """Write the weights with the network's name and settings, the class names, the image size and the normalisation."""
    metadata = {
        "network": network,
        "settings": settings,
        "class_names": trained.class_names,
        "image_size": trained.image_size,
        **trained.normalisation._asdict(),
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in trained.model.state_dict().items()}
    with atomic_file(path) as unfinished:
        unfinished.write_bytes(save(tensors, {METADATA: json.dumps(metadata, sort_keys=True)}))


def described(path: str | Path) -> dict[str, Any]:
    """Return what `save_weights` wrote beside the weights; empty where another program wrote the file."""
    with safe_open(path, framework="pt") as file:
        return dict(json.loads((file.metadata() or {}).get(METADATA, "{}")))


def normalisation_of(description: dict[str, Any]) -> Normalisation:
    """Return the normalisation that `described` tells of."""
    return Normalisation(tuple(description["mean"]), tuple(description["standard_deviation"]))


def restore(path: str | Path, network: Network[Any], device: torch.device) -> Trained:
    """Return the trained network that `save_weights` wrote, ready for prediction."""
    description = described(path)
    settings, names = network.schema(**description["settings"]), description["class_names"]
    model: nn.Module = network.build(settings, len(names), description["image_size"])
    model.load_state_dict(load_file(path))
    if settings.flip_tta:
        add_flip_tta(model)
    model = model.to(device).to(memory_format=torch.channels_last).eval()
    return Trained(model, names, description["image_size"], normalisation_of(description))
