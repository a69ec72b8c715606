"""Batch normalisation, 2x2 max pool and LeakyReLU in one pass over a convolution's output, on a CPU.

Half of the time of training the own CNN went into these three, each of which reads and writes all of its input. The
pool keeps one of four values, and normalising keeps their order: only what is kept needs to be normalised.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.kernels.batch_norm import gradient_terms, is_supported, kernels, memory, moments, scale_and_offset

BLOCK = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.LeakyReLU)


def is_blocks(module: nn.Module) -> bool:
    """Say whether it is a sequence of blocks of convolution, BatchNorm2d, 2x2 MaxPool2d and LeakyReLU."""
    if type(module) is not nn.Sequential:
        return False
    kinds = tuple(map(type, module))
    pools = [layer for layer in module if isinstance(layer, nn.MaxPool2d)]
    return bool(kinds) and kinds == BLOCK * len(pools) and all(is_two_by_two(pool) for pool in pools)


def is_two_by_two(pool: nn.MaxPool2d) -> bool:
    """Say whether a pool halves both sides and leaves out an odd last row or column."""
    return (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode) == (2, 2, 0, 1, False)


class FusedBlocks(nn.Sequential):
    """Blocks that compute what nn.Sequential does.

    Where the convolution's features fit the kernels, its other three layers are one pass.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C, H', W') of images (N, 3, H, W)."""
        layers: list[Any] = list(self)
        for convolution, norm, pool, activation in zip(*[iter(layers)] * len(BLOCK), strict=True):
            features = convolution(images)
            if is_supported(features):
                images = normalised_pool(features, norm, activation.negative_slope)
            else:
                images = activation(pool(norm(features)))
        return images


def normalised_pool(features: Tensor, norm: Any, slope: float) -> Tensor:
    """Return leaky_relu(max_pool2d(norm(features), 2), slope), and update the BatchNorm2d `norm` as it would itself.

    Features are (N, C, H, W) for which `fits` holds.
    """
    known = moments(features, norm)
    pooled: Tensor = _NormalisedPool.apply(features, norm.weight, norm.bias, known, np.float32(slope))
    return pooled


class _NormalisedPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, *known: Any) -> Tensor:
        ctx.moments, ctx.slope = known
        ctx.scale, offset = scale_and_offset(ctx.moments, weight, bias)
        images, channels, height, width = features.shape
        shape = images, channels, height // 2, width // 2
        normal, kept = (torch.empty(shape, dtype=features.dtype, memory_format=torch.channels_last) for _ in range(2))
        ctx.chosen = np.empty((images, height // 2, width // 2, channels), np.uint8)
        kernels().pool(memory(features), ctx.scale, offset, ctx.slope, memory(normal), memory(kept), ctx.chosen)
        ctx.save_for_backward(features, kept)
        return normal

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        features, kept = ctx.saved_tensors
        incoming = memory(gradient.contiguous(memory_format=torch.channels_last))
        sums = np.empty((len(features), 2, len(ctx.scale)))
        kernels().sum_gradients(incoming, memory(kept), ctx.chosen, ctx.moments.mean, ctx.slope, sums)
        back = gradient_terms(sums, ctx.moments, ctx.scale)
        of_features = torch.empty_like(features)
        factors = ctx.scale, back.constant, back.linear, ctx.slope
        kernels().spread_gradient(memory(features), incoming, ctx.chosen, *factors, memory(of_features))
        return of_features, back.of_weight, back.of_bias, None, None
