"""Trainings that are done once: what the same settings, images, seed, code and machine have given is taken again."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.hardware import device, distributed
from stages.networks.common.weights import Trained, save_weights
from stages.runtime.files import atomic_folder, read_csv, write_csv, write_json
from stages.training.checkpoint import Checkpoint, on_this_hardware
from stages.training.done_before import note_done
from stages.training.finished import FINISHED, training_key
from stages.training.loop import DivergedError, TrainingResult, fit
from stages.training.resume import Epoch
from stages.training.state import Task


def trained(
    task: Task, data: str, description: str, after_epoch: Callable[[Epoch], None] | None = None, *, resume: bool = True
) -> Path:
    """Return a folder with a task's trained weights.safetensors, history.csv and timing.json.

    `data` is the folder below data/ that its training images come from. Where the same training has been done, what
    it gave is taken; `after_epoch` is called as if it ran now. Else it runs, and with `resume` goes on from its last
    epoch where it was interrupted. Raises DivergedError where nothing can be kept.
    """
    work = training_key(task.network.name, task.config.values(), data, task.seed)
    key = on_this_hardware(work)
    folder = FINISHED / key
    if distributed.broadcast_from_first(folder.is_dir):
        if after_epoch is not None:
            for epoch in history(folder):
                after_epoch(epoch)
        note_done(work, folder)
        return folder
    checkpoint = Checkpoint(description.replace("/", "-"), key) if resume else None
    result = fit(task, description, after_epoch, checkpoint)
    if result.diverged and after_epoch is not None:
        raise DivergedError(f"{description} diverged after {len(result.history)} epochs")
    if distributed.is_rank_zero():
        with atomic_folder(folder) as unfinished:
            write_training(task, result, unfinished)
        if checkpoint is not None:
            checkpoint.remove()
        note_done(work, folder)
    return folder


def history(folder: Path) -> list[Epoch]:
    """Return the epochs of a training that is done."""
    return [
        Epoch(int(row["epoch"]), *(float(row[name]) for name in Epoch._fields[1:]))
        for row in read_csv(folder / "history.csv")
    ]


def write_training(task: Task, result: TrainingResult, folder: Path) -> None:
    """Write the files of a training."""
    normalisation = task.training.normalisation
    given = Trained(result.model, task.training.class_names, task.training.image_size, normalisation)
    save_weights(folder / "weights.safetensors", given, task.network.name, task.config.settings.model_dump())
    write_csv(folder / "history.csv", list(Epoch._fields), (epoch._asdict() for epoch in result.history))
    write_json(folder / "timing.json", cost(result, task))


def cost(result: TrainingResult, task: Task) -> dict[str, Any]:
    """Return what the training took; images/s counts whole epochs, their validation included."""
    epochs = len(result.history)
    images = task.images_per_epoch()
    return {
        "seconds": round(result.seconds, 3),
        "images_per_second": round(epochs * images / result.seconds, 1),
        "images": images,
        "epochs": epochs,
        "best_epoch": result.best_epoch,
        "epochs_to_95_percent": first_epoch_near_best(result.history),
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "peak_memory_megabytes": device.peak_memory_megabytes(),
        "device": device.description(),
        "precision": str(device.precision()).removeprefix("torch."),
        "libraries": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision")),
    }


def first_epoch_near_best(epochs: list[Epoch]) -> int:
    """Return the number of the first epoch with at least 95 % of the best validation accuracy: how fast it learns."""
    best = max(epoch.validation_accuracy for epoch in epochs)
    return next(epoch.epoch for epoch in epochs if epoch.validation_accuracy >= 0.95 * best)
