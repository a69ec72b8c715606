"""The name of a run of the study: its network, hyperparameters, data and seed."""

from typing import NamedTuple


class Run(NamedTuple):
    """A training, e.g. Run("own_cnn", "tuned", "augmented", 1), written own_cnn-tuned-augmented-1."""

    network: str
    hyperparameters: str
    data: str
    seed: int

    def __str__(self) -> str:
        return "-".join(map(str, self))
