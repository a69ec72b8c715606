"""What networks from torchvision have in common, so that a file in stages/networks says what is its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.networks.common.contract import KnownWeights, NetworkDefinition, Normalisation, Settings
from stages.networks.common.settings import suggest_training

if TYPE_CHECKING:  # torchvision takes seconds to import, and who checks settings does not need it
    import optuna
    from torch import Tensor, nn


class TorchvisionNetwork(NetworkDefinition[Settings]):
    """A network that torchvision.models has under the same name, in any size of images it can take."""

    smallest_image = 32

    def build(self, settings: Settings, classes: int, image_size: int) -> nn.Module:
        """Return torchvision's network with random weights; any size that it can take will do."""
        from torchvision.models import get_model

        model: nn.Module = get_model(self.name, num_classes=classes, **self.options(settings))
        return model

    def options(self, settings: Settings) -> dict[str, Any]:
        """Return what torchvision's function is given beside the number of classes."""
        return {}

    def suggest(self, trial: optuna.Trial, defaults: Settings) -> dict[str, Any]:
        """Return the settings that a trial changes; for pre-trained weights also how much of them learns."""
        chosen = suggest_training(trial, defaults)
        if defaults.weights == "none":
            return chosen
        return chosen | {
            "freeze": trial.suggest_categorical("freeze", ["none", *self.partial_freezes]),
            "backbone_learning_rate_factor": trial.suggest_float("backbone_learning_rate_factor", 0.01, 1.0, log=True),
        }

    def known_weights(self) -> Mapping[str, KnownWeights]:
        """Return torchvision's weights by name; without DEFAULT, an alias whose meaning changes with the library."""
        from torchvision.models import get_model_weights

        return {member.name: _TorchvisionWeights(member) for member in get_model_weights(self.name)}


class _TorchvisionWeights:
    def __init__(self, member: Any) -> None:
        self.member, self.source = member, str(member.url)

    def image_size(self) -> int:
        return int(self.member.transforms().crop_size[0])

    def normalisation(self) -> Normalisation:
        given = self.member.transforms()
        return Normalisation(*(tuple(255 * value for value in each) for each in (given.mean, given.std)))

    def fetch(self) -> dict[str, Tensor]:
        return dict(self.member.get_state_dict(progress=True, check_hash=True))
