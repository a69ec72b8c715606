"""Networks of the library timm, each by a file of three lines: their sizes, normalisation and head are timm's own.

from stages.networks.common.timm import Timm

network = Timm("vit_small_patch14_dinov2.lvd142m")
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stages.networks.common.contract import KnownWeights, NetworkDefinition, Normalisation
from stages.networks.common.settings import TrainingSettings
from stages.runtime.errors import UserError

if TYPE_CHECKING:  # timm takes seconds to import, and who checks settings does not need it
    from torch import Tensor, nn


class TimmSettings(TrainingSettings):
    """Sections `training` and `networks.<name>` of params.yaml; the weights of the hub, all but the head frozen."""

    weights: str = "hub"
    freeze: Literal["none", "backbone"] = "backbone"
    input_size: int | Literal["weights"] = "weights"
    flip_tta: bool = True


class Timm(NetworkDefinition[TimmSettings]):
    """A network that timm.create_model builds; `architecture` is its name there, with the tag of its weights.

    `revision` pins the weights on the Hugging Face hub to a commit; without it, the commit that the branch main has
    when they are first fetched is recorded with them.
    """

    schema = TimmSettings

    def __init__(self, architecture: str, revision: str | None = None) -> None:
        self.architecture, self.revision = architecture, revision

    @cached_property
    def configuration(self) -> Any:
        """What timm knows of the network: sizes, mean, standard deviation, the layer of the head, where weights are."""
        from timm.models import get_pretrained_cfg

        found = get_pretrained_cfg(self.architecture)
        if found is None:
            raise UserError(f"stages/networks/{self.name}.py: timm knows no network {self.architecture!r}")
        return found

    @property
    def head(self) -> str:  # type: ignore[override]  # of other networks it is no question of timm's
        """How the names of the last layer's weights begin."""
        return f"{self.configuration.classifier}."

    @property
    def weights_image_size(self) -> int:  # type: ignore[override]
        """Pixels a side that timm's weights expect, from the hub or as a file."""
        return int(self.configuration.input_size[1])

    @property
    def normalisation(self) -> Normalisation:  # type: ignore[override]
        """The normalisation that they expect."""
        mean, deviation = self.configuration.mean, self.configuration.std
        return Normalisation(*(tuple(255 * value for value in each) for each in (mean, deviation)))

    def build(self, settings: TimmSettings, classes: int, image_size: int) -> nn.Module:
        """Return timm's network with random weights."""
        import timm

        size = {"img_size": image_size} if self.configuration.fixed_input_size else {}
        model: nn.Module = timm.create_model(self.architecture, pretrained=False, num_classes=classes, **size)
        return model

    def known_weights(self) -> Mapping[str, KnownWeights]:
        """Return the weights that timm's authors keep on the Hugging Face hub."""
        return {"hub": _HubWeights(self)} if self.configuration.hf_hub_id else {}


class _HubWeights:
    def __init__(self, network: Timm) -> None:
        self.network, self.configuration = network, network.configuration
        revision = f"@{network.revision}" if network.revision else ""
        self.source = f"{self.configuration.hf_hub_id}{revision}"

    def image_size(self) -> int:
        return self.network.weights_image_size

    def normalisation(self) -> Normalisation:
        return self.network.normalisation

    def fetch(self) -> dict[str, Tensor]:
        import timm

        # by its library first, which says which commit came; timm then finds the file where that keeps it
        repository, _, revision = self.source.partition("@")
        file = _downloaded(repository, self.configuration.hf_hub_filename or "model.safetensors", revision or None)
        self.source = f"{repository}@{file.parent.name}"
        overlay = {"hf_hub_id": self.source}
        model = timm.create_model(self.network.architecture, pretrained=True, pretrained_cfg_overlay=overlay)
        return dict(model.state_dict())


def _downloaded(repository: str, name: str, revision: str | None) -> Path:
    """Return a file of the hub in the cache, in a folder named for its commit. Raises OSError where it cannot be had.

    A large file's blob is named by its sha256, which the hub's library does not check.
    """
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(repository, name, revision=revision))
    except Exception as error:  # noqa: BLE001 - whichever library carries HTTP for the hub's has its own kinds
        raise OSError(f"{name}: {error or type(error).__name__}") from None
    blob = file.resolve()
    with blob.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if len(blob.name) == len(found) and blob.name != found:
        blob.unlink()
        file.unlink()
        raise OSError(f"{name} has sha256 {found}, not {blob.name}; it is removed, the next attempt fetches it anew")
    return file
