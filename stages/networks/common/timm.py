"""Networks of the library timm, each by a file of three lines: their sizes, normalisation and head are timm's own.

from stages.networks.common.timm import Timm

network = Timm("vit_small_patch14_dinov2.lvd142m")
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from stages.networks.common.contract import KnownWeights, Network, Normalisation
from stages.networks.common.settings import TrainingSettings

if TYPE_CHECKING:  # timm takes seconds to import, and who checks settings does not need it
    from torch import Tensor, nn


class TimmSettings(TrainingSettings):
    """Sections `training` and `networks.<name>` of params.yaml; the weights of the hub, all but the head frozen."""

    weights: str = "hub"
    freeze: Literal["none", "backbone"] = "backbone"
    input_size: int | Literal["weights"] = "weights"
    flip_tta: bool = True


class Timm(Network[TimmSettings]):
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
            raise LookupError(f"timm knows no network {self.architecture!r}")
        return found

    @property
    def head(self) -> str:  # type: ignore[override]  # of other networks it is no question of timm's
        """How the names of the last layer's weights begin."""
        return f"{self.configuration.classifier}."

    def build(self, settings: TimmSettings, classes: int, image_size: int) -> nn.Module:
        """Return timm's network with random weights."""
        import timm

        size = {"img_size": image_size} if self.configuration.fixed_input_size else {}
        model: nn.Module = timm.create_model(self.architecture, pretrained=False, num_classes=classes, **size)
        return model

    def known_weights(self) -> Mapping[str, KnownWeights]:
        """Return the weights that timm's authors keep on the Hugging Face hub."""
        return {"hub": _HubWeights(self)}


class _HubWeights:
    def __init__(self, network: Timm) -> None:
        self.network, self.configuration = network, network.configuration
        revision = f"@{network.revision}" if network.revision else ""
        self.source = f"{self.configuration.hf_hub_id}{revision}"

    def image_size(self) -> int:
        return int(self.configuration.input_size[1])

    def normalisation(self) -> Normalisation:
        mean, deviation = self.configuration.mean, self.configuration.std
        return Normalisation(*(tuple(255 * value for value in each) for each in (mean, deviation)))

    def fetch(self) -> dict[str, Tensor]:
        import timm
        from huggingface_hub import hf_hub_download

        # by its library first, which says which commit came; timm then finds the file where that keeps it
        repository, _, revision = self.source.partition("@")
        file = hf_hub_download(repository, "model.safetensors", revision=revision or None)
        commit = file.split("/snapshots/")[-1].split("/")[0]
        self.source = f"{repository}@{commit}"
        overlay = {"hf_hub_id": self.source}
        model = timm.create_model(self.network.architecture, pretrained=True, pretrained_cfg_overlay=overlay)
        return dict(model.state_dict())
