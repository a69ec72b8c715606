"""The name of a run of the study: its network, hyperparameters, data and seed."""

from pathlib import Path
from typing import NamedTuple

from stages.runtime.files import read_json, write_json

REFERENCE = "same_as.json"  # in the folder of a run that is the same as another


class Run(NamedTuple):
    """A training, e.g. Run("own_cnn", "tuned", "augmented", 1), written own_cnn-tuned-augmented-1."""

    network: str
    hyperparameters: str
    data: str
    seed: int

    def __str__(self) -> str:
        return "-".join(map(str, self))


def refer_to(run: Run, folder: str) -> None:
    """Write, instead of what a run has, that it is the same as another run."""
    write_json(f"{folder}/{REFERENCE}", {"same_as": str(run)})


def referred(folder: str | Path) -> str | None:
    """Return the name of the run that the one in a folder is the same as; None where it has its own."""
    file = Path(folder) / REFERENCE
    return str(read_json(file)["same_as"]) if file.is_file() else None
