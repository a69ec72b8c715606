"""Batch normalisation, shortcut and ReLU of a ResNet in one pass, on a CPU.

At 224 pixels half of the time of training ResNet50 went into these, each of which reads and writes all of its input.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.kernels.batch_norm import gradient_terms, is_supported, kernels, memory, moments, scale_and_offset
from stages.kernels.sync_batch_norm import SyncBatchNorm

LAYERS = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample")  # of a Bottleneck, in its order


def is_torchvision(module: nn.Module, kind: str) -> bool:
    """Say whether it is a "ResNet" or "Bottleneck" of torchvision, without importing that, which takes seconds."""
    return (type(module).__module__, type(module).__name__) == ("torchvision.models.resnet", kind)


def fuse_stem(network: Any) -> None:
    """Have a ResNet's first batch normalisation do what the ReLU after it does."""
    network.bn1.__class__ = FusedNorm
    network.relu = nn.Identity()


class FusedBottleneck(nn.Module):
    """A block that computes what torchvision's Bottleneck does, of the same layers under the same names."""

    conv1: nn.Module
    conv2: nn.Module
    conv3: nn.Module
    downsample: nn.Sequential | None

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        for name in LAYERS:
            setattr(self, name, getattr(block, name))

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C', H', W') of features (N, C, H, W)."""
        shortcut = features
        if self.downsample is not None:
            convolution, norm = self.downsample
            shortcut = normalised(convolution(features), norm, activated=False)
        features = normalised(self.conv1(features), self.bn1)
        features = normalised(self.conv2(features), self.bn2)
        return normalised(self.conv3(features), self.bn3, shortcut)


class FusedNorm(SyncBatchNorm):
    """Batch normalisation and the ReLU after it."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) of such features."""
        if is_supported(features):
            return normalised(features, self)
        return functional.relu(super().forward(features), inplace=True)


def normalised(features: Tensor, norm: Any, shortcut: Tensor | None = None, *, activated: bool = True) -> Tensor:
    """Return relu(norm(features) + shortcut), or without ReLU, and update the BatchNorm2d `norm` as it would itself.

    Features and shortcut are (N, C, H, W). What the kernels do not take goes through torch's own layers, and so does
    what a hook of the norm changes (stochastic depth).
    """
    alike = shortcut is None or (is_supported(shortcut) and shortcut.dtype == features.dtype)
    if not is_supported(features) or not alike or norm._forward_hooks:
        result: Tensor = norm(features)
        if shortcut is not None:
            result += shortcut
        return functional.relu(result, inplace=True) if activated else result
    # what is not above the floor is the floor
    known = moments(features, norm), np.float32(0 if activated else -np.inf)
    fused: Tensor = _Normalised.apply(features, norm.weight, norm.bias, shortcut, *known)
    return fused


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None, *known: Any
    ) -> Tensor:
        ctx.moments, ctx.floor = known
        ctx.scale, offset = scale_and_offset(ctx.moments, weight, bias)
        ctx.has_shortcut = shortcut is not None
        result = torch.empty_like(features)
        added = None if shortcut is None else memory(shortcut)
        kernels().normalise(memory(features), added, ctx.scale, offset, ctx.floor, memory(result))
        ctx.save_for_backward(features, result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        features, result = ctx.saved_tensors
        incoming = memory(gradient.contiguous(memory_format=torch.channels_last))
        sums = np.empty((len(features), 2, len(ctx.scale)))
        known = memory(features), incoming, memory(result), ctx.floor
        kernels().sum_normal_gradients(*known, ctx.moments.mean, sums)
        back = gradient_terms(sums, ctx.moments, ctx.scale)
        of_features = torch.empty_like(features)
        of_shortcut = torch.empty_like(features) if ctx.has_shortcut else None
        outputs = memory(of_features), None if of_shortcut is None else memory(of_shortcut)
        kernels().spread_normal_gradient(*known, ctx.scale, back.constant, back.linear, *outputs)
        return of_features, back.of_weight, back.of_bias, of_shortcut, None, None
