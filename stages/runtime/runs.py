"""The name of a run of the study, and the words that a stage of dvc.yaml is called with."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from stages.runtime.errors import UserError

ADDRESS = re.compile(r"(?:.*dvc\.yaml:)?([^@]*)(?:@(.*))?", re.DOTALL)  # ../dvc.yaml:train@own_cnn-default-original-1
ALLOWED = {  # of each axis: what its words look like, and what to say otherwise
    "network": (r"[a-z][a-z0-9_]*", "small letters, digits and _, as files in stages/networks are named"),
    "hyperparameters": (r"default|tuned", "default or tuned"),
    "data": (r"original|augmented", "original or augmented"),
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
