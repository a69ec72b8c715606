"""The runs of the study: one for each combination of network, hyperparameters and data."""

from itertools import product
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from stages.lib.params import Section


def _all_different(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must name each value once")
    return values


class Run(NamedTuple):
    """A run, e.g. Run("own_cnn", "tuned", "augmented"), written own_cnn-tuned-augmented."""

    network: str
    hyperparameters: str
    data: str

    def __str__(self) -> str:
        return "-".join(self)


class Study(Section):
    """params.yaml's section `study`: the values of each axis that take part."""

    networks: Annotated[list[str], Field(min_length=1), AfterValidator(_all_different)]
    hyperparameters: Annotated[list[Literal["default", "tuned"]], Field(min_length=1), AfterValidator(_all_different)]
    data: Annotated[list[Literal["original", "augmented"]], Field(min_length=1), AfterValidator(_all_different)]

    def runs(self) -> list[Run]:
        """Return all runs, in the order of the lists."""
        return [Run(*values) for values in product(self.networks, self.hyperparameters, self.data)]
