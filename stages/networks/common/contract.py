"""What a network is: the contract that each file in stages/networks keeps, and how a network is found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, get_type_hints

from stages.networks.common.settings import TrainingSettings, suggest_training
from stages.runtime.errors import UserError

if TYPE_CHECKING:  # torch takes seconds to import, and who checks settings does not need it
    import optuna
    from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parents[1]
Settings = TypeVar("Settings", bound=TrainingSettings)
Colours = tuple[float, float, float]


class Normalisation(NamedTuple):
    """What is taken from the pixels' red, green and blue (0 to 255), and what the rest is divided by."""

    mean: Colours
    standard_deviation: Colours


IMAGENET = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class NetworkDefinition(ABC, Generic[Settings]):
    """A network of the study. A file in stages/networks derives a class from this one and calls its object `network`.

    What stands here without a value, the file must bring; what has one, it may replace.
    """

    schema: type[Settings]  # of its settings: those of all networks, which params.yaml has in `training`, and its own
    head: str  # how the names of its last layer's weights begin: they start anew for other classes
    # what `freeze` may be beside none and backbone, and how the names of weights begin that then learn beside the head
    partial_freezes: Mapping[str, tuple[str, ...]] = {}
    smallest_image: int = 1  # pixels a side
    normalisation: Normalisation = IMAGENET  # of the images that it is given, from random weights
    weights_image_size: int | None = None  # pixels a side that files of weights from elsewhere expect; None: not known
    name: str = ""  # what params.yaml and the names of runs call it: the name of its file, set when it is found

    @abstractmethod
    def build(self, settings: Settings, classes: int, image_size: int) -> nn.Module:
        """Return the network with random weights: images (N, 3, image_size, image_size) -> logits (N, classes)."""

    def suggest(self, trial: optuna.Trial, defaults: Settings) -> dict[str, Any]:
        """Return the settings that a trial of the tuning changes."""
        return suggest_training(trial, defaults)

    def trainable_prefixes(self, freeze: str) -> tuple[str, ...]:
        """Return how the names of the weights begin that learn: all with none, the head alone with backbone."""
        return {"none": ("",), "backbone": (self.head,)}.get(freeze) or (*self.partial_freezes[freeze], self.head)

    def known_weights(self) -> Mapping[str, KnownWeights]:
        """Return the pre-trained weights that have a name, which `weights` may say instead of a file."""
        return {}


class KnownWeights(Protocol):
    """Pre-trained weights that a library can fetch by a name."""

    source: str  # where they come from, with the revision or digest that tells one version from another

    def image_size(self) -> int:
        """Return the width and height of the images that they expect, in pixels."""

    def normalisation(self) -> Normalisation:
        """Return the normalisation of the images that they expect."""

    def fetch(self) -> dict[str, Tensor]:
        """Return the weights by their names; OSError, URLError or RuntimeError where they cannot be had."""


def network_names() -> list[str]:
    """Return the names of all networks there are."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def network_named(name: str) -> NetworkDefinition[Any]:
    """Return a network by its name.

    Imported by name, so that a run depends on its own network's file and on no other's. Raises UserError where there is
    no such file, or where it does not keep the contract.
    """
    file = f"stages/networks/{name}.py"
    if name not in network_names():
        raise UserError(f"there is no network {name!r}: {file} is missing; there are {', '.join(network_names())}")
    try:
        network = getattr(import_module(f"stages.networks.{name}"), "network", None)
    except TypeError as error:  # an abstract method that is missing
        raise UserError(f"{file} does not keep the contract of stages/networks/common/contract.py: {error}") from None
    if not isinstance(network, NetworkDefinition):
        raise UserError(f"{file} must end in `network = ...()`, an object of a class derived from NetworkDefinition")
    if missing := [part for part in get_type_hints(NetworkDefinition) if not hasattr(type(network), part)]:
        raise UserError(
            f"{file}: its network lacks {', '.join(missing)}, which stages/networks/common/contract.py explains"
        )
    network.name = name
    return network
