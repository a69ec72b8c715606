"""What the study compares: every combination of network, hyperparameters and data, each trained from several seeds."""

from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, NonNegativeInt, StringConstraints

from stages.runtime.config import Section
from stages.runtime.runs import ALLOWED


def _all_different(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("must name each value once")
    return values


class Configuration(NamedTuple):
    """What the study compares, e.g. own_cnn-tuned-augmented: runs that differ in their seed alone."""

    network: str
    hyperparameters: str
    data: str

    def __str__(self) -> str:
        return "-".join(self)


NetworkName = Annotated[str, StringConstraints(pattern=f"^{ALLOWED['network'][0]}$")]  # - would part the words of a run


Networks = Annotated[list[NetworkName], AfterValidator(_all_different)]


class Study(Section):
    """params.yaml's section `study`: the values of each axis that take part."""

    networks: Annotated[Networks, Field(min_length=1)]
    hyperparameters: Annotated[list[Literal["default", "tuned"]], Field(min_length=1), AfterValidator(_all_different)]
    data: Annotated[list[Literal["original", "augmented"]], Field(min_length=1), AfterValidator(_all_different)]
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1), AfterValidator(_all_different)]

    def configurations(self) -> list[Configuration]:
        """Return all combinations, in the order of the lists."""
        return [Configuration(*values) for values in product(self.networks, self.hyperparameters, self.data)]
