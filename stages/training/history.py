"""The epochs of a training, and which of them is the best; without torch, which takes seconds to import."""

from pathlib import Path
from typing import Any, NamedTuple

from stages.runtime.files import read_csv, write_csv


class Epoch(NamedTuple):
    """What one pass over the training images came to.

    The loss is that of the training, on average, the validation loss always the mean cross entropy in nats; temperature
    scaled, it is that at the temperature which makes it lowest.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    validation_temperature_scaled_loss: float


def best_epoch(history: list[Epoch]) -> int:
    """Return the number of the epoch with the lowest scaled validation loss, the first among equals.

    On a few dozen images it tells good epochs from bad ones that their accuracy takes for the same; and unscaled it
    would take epochs for bad in which a network gets too sure of itself, which the stage evaluate makes good. Where all
    is right, and scaling leaves no loss at all, the unscaled one tells.
    """
    return min(history, key=lambda epoch: (epoch.validation_temperature_scaled_loss, epoch.validation_loss)).epoch


def stops_early(history: list[Epoch], patience: int) -> bool:
    """Say whether the last `patience` epochs have brought no lower scaled validation loss; with 0, never."""
    return 0 < patience <= len(history) - (best_epoch(history) if history else 0)


def summary(history: list[Epoch]) -> dict[str, Any]:
    """Return how many epochs there were, which was best, and the first with 95 % of the best validation accuracy."""
    best = max(epoch.validation_accuracy for epoch in history)
    near = next(epoch.epoch for epoch in history if epoch.validation_accuracy >= 0.95 * best)
    return {"epochs": len(history), "best_epoch": best_epoch(history), "epochs_to_95_percent": near}


def write_history(file: Path, history: list[Epoch]) -> None:
    """Write a line per epoch."""
    write_csv(file, list(Epoch._fields), (epoch._asdict() for epoch in history))


def read_history(file: Path) -> list[Epoch]:
    """Return what `write_history` wrote."""
    return [Epoch(int(row.pop("epoch")), *map(float, row.values())) for row in read_csv(file)]
