"""The name of a run of the study, and the words that a stage of dvc.yaml is called with."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stages.runtime.errors import UserError
from stages.runtime.files import read_json, write_json

REFERENCE = "same_as.json"  # in the folder of a run that is the same as another
ADDRESS = re.compile(r"(?:.*dvc\.yaml:)?([^@]*)(?:@(.*))?", re.DOTALL)  # ../dvc.yaml:train@own_cnn-default-original-1
ALLOWED = {  # of each axis: what its words look like, and what to say otherwise
    "network": (r"[a-z][a-z0-9_]*", "small letters, digits and _, as files in stages/networks are named"),
    "hyperparameters": (r"default|tuned", "default or tuned"),
    "data": (r"original|augmented", "original or augmented"),
    "images": (r"original|augmented|validation|test", "original, augmented, validation or test"),
    "seed": (r"[0-9]{1,18}", "a whole number"),
}


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


def parse_address(address: str) -> tuple[str, list[str]]:
    """Return a stage's name and words, e.g. train and those of own_cnn-default-original-1, from DVC's address of it."""
    match = ADDRESS.fullmatch(address)
    name, words = match.groups() if match else (address, None)
    return name, words.split("-") if words else []


def check_words(words: Mapping[str, object]) -> None:
    """Raise UserError with a line for each word, by the name of its axis, that no network, seed ... can be called."""
    lines = []
    for axis, word in words.items():
        pattern, meant = ALLOWED.get(axis, (".*", ""))
        if not re.fullmatch(pattern, str(word), re.DOTALL):
            lines.append(f"{axis} {str(word)!r} is not allowed; give {meant}")
    if lines:
        raise UserError(*lines)
