"""A trained network in torch, for accelerators and for files of weights without a graph."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.prediction import normalised
from stages.networks.common.weights import Metadata, restore


class TorchRunner:
    """Gives what an ONNX graph of the same network does."""

    def __init__(self, file: Path, metadata: Metadata) -> None:
        self.metadata, network = metadata, network_named(metadata.network)
        self.model = restore(file, network, device.device())
        self.features = torch.empty(0)
        self.model.get_submodule(network.head.rstrip(".")).register_forward_pre_hook(self._keep)

    def run(self, images: NDArray[np.uint8], *names: str) -> list[NDArray[np.float32]]:
        """Return the named outputs for images (n, size, size, 3): features, logits, probabilities."""
        with torch.inference_mode():
            batch = normalised(torch.from_numpy(images).to(device.device()), self.metadata.normalisation)
            logits = self.model(batch).float()
            found = {
                "features": self.features,
                "logits": logits,
                "probabilities": torch.softmax(logits / self.metadata.temperature, 1),
            }
            return [found[name].float().cpu().numpy() for name in names]

    def _keep(self, _: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        self.features = given[0]
