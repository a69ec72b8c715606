"""The training of one run of the study, from its files to its files."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.hardware import device, distributed
from stages.hardware.torchrun import together
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.pretrained import expected_input
from stages.networks.common.settings import config_from
from stages.networks.common.weights import Trained, save_weights
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, read_json, write_json
from stages.runtime.fingerprint import fingerprint
from stages.runtime.runs import Run
from stages.training.checkpoint import Checkpoint
from stages.training.copying import HISTORY, TIMING, WEIGHTS
from stages.training.history import summary, write_history
from stages.training.loop import DivergedError, TrainingResult, fit
from stages.training.state import Task


@together
def train(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train a run, given as the words of its stage, and write what comes of it into data/trained.

    An interrupted training goes on after its last epoch. Raises UserError where nothing comes of it, for it diverged.
    """
    run, chosen = Run(network, hyperparameters, data, int(seed)), network_named(network)
    values = read_json(f"data/hyperparameters/{network}/{hyperparameters}.json")
    config = config_from(chosen.schema, values)
    device.be_deterministic()
    device.keep_freed_memory()
    expected = expected_input(chosen, config.settings)
    training, validation = (load_images(f"data/{name}", device.device(), *expected) for name in (data, "validation"))
    folders = [f"data/{data}", "data/validation", f"data/pretrained/{network}"]
    checkpoint = Checkpoint(str(run), fingerprint([*run, values], folders, hardware()))
    task = Task(chosen, config, training, validation, run.seed)
    try:
        result = fit(task, str(run), checkpoint=checkpoint)
    except DivergedError as error:
        raise UserError(str(error)) from None
    if distributed.is_rank_zero():
        with atomic_folder(f"data/trained/{run}") as folder:
            write_training(task, result, folder)
        checkpoint.remove()


def hardware() -> tuple[str, str]:
    """Return what of the hardware decides about the bits of a training."""
    return device.kind(), str(device.precision())


def write_training(task: Task, result: TrainingResult, folder: Path) -> None:
    """Write a training's weights, history and timing into a folder."""
    images = task.training
    trained = Trained(result.model, images.class_names, images.image_size, images.normalisation)
    save_weights(folder / WEIGHTS, trained, task.network.name, task.config.settings.model_dump())
    write_history(folder / HISTORY, result.history)
    write_json(folder / TIMING, timing(result, task))


def timing(result: TrainingResult, task: Task) -> dict[str, Any]:
    """Return what the training took; images/s counts whole epochs, their validation included."""
    images = task.images_per_epoch()
    return summary(result.history) | {
        "seconds": round(result.seconds, 3),
        "images_per_second": round(len(result.history) * images / result.seconds, 1),
        "images": images,
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "peak_memory_megabytes": device.peak_memory_megabytes(),
        "device": device.description(),
        "precision": str(device.precision()).removeprefix("torch."),
        "libraries": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision")),
    }
