"""Depthwise convolutions, which oneDNN computes in bfloat16 several times slower than in float32."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


class InOwnPrecision(nn.Conv2d):
    """Stands before the class of a convolution, which then computes in the precision of its weights on a CPU."""

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C', H', W') of images (N, C, H, W)."""
        if images.device.type != "cpu":
            return super().forward(images)
        with torch.autocast("cpu", enabled=False):
            return super().forward(images.to(self.weight.dtype))


def is_depthwise(module: nn.Module) -> bool:
    """Say whether a layer is a convolution, of whichever class, that keeps its channels apart."""
    return isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels


def compute_in_own_precision(convolution: nn.Module) -> None:
    """Have a convolution compute in the precision of its weights."""
    kind: Any = type(convolution)
    convolution.__class__ = _in_own_precision(kind)


@cache
def _in_own_precision(kind: Any) -> Any:
    return type(f"{kind.__name__}InOwnPrecision", (InOwnPrecision, kind), {})
