"""Batch normalisation, 2x2 max pool and LeakyReLU in one pass over a convolution's output, on a CPU in bfloat16.

Half of the time of training the own CNN went into these three, each of which reads and writes all of its input. The
pool keeps one of four values, and normalising keeps their order: only what is kept needs to be normalised.
Source of the gradient: Ioffe and Szegedy, Batch normalization, 2015.
"""

import os
import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, Any]


BLOCK = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.LeakyReLU)


def fuse_blocks(model: nn.Module) -> nn.Module:
    """Have each nn.Sequential of such blocks in a network compute them so; layers and names stay as they are."""
    for name, module in list(model.named_children()):
        if type(module) is nn.Sequential and is_blocks(module):
            setattr(model, name, FusedBlocks(*module))
        else:
            fuse_blocks(module)
    return model


def is_blocks(layers: nn.Sequential) -> bool:
    """Say whether layers are blocks of convolution, BatchNorm2d, 2x2 MaxPool2d and LeakyReLU, and nothing else."""
    kinds = tuple(map(type, layers))
    pools = [layer for layer in layers if isinstance(layer, nn.MaxPool2d)]
    return bool(kinds) and kinds == BLOCK * len(pools) and all(is_two_by_two(pool) for pool in pools)


def is_two_by_two(pool: nn.MaxPool2d) -> bool:
    """Say whether a pool halves both sides and leaves out an odd last row or column."""
    return (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode) == (2, 2, 0, 1, False)


class FusedBlocks(nn.Sequential):
    """Blocks that compute what nn.Sequential does.

    Where the convolution gives bfloat16 on a CPU in channels_last memory order, its other three layers are one pass.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C, H', W') of images (N, 3, H, W)."""
        layers: list[Any] = list(self)
        for convolution, norm, pool, activation in zip(*[iter(layers)] * len(BLOCK), strict=True):
            features = convolution(images)
            if fits(features):
                images = normalised_pool(features, norm, activation.negative_slope)
            else:
                images = activation(pool(norm(features)))
        return images


@cache
def kernels() -> Any:
    """Import the kernels, with as many threads as torch has, and the same ones where numba can take them.

    Two sets of threads would wait for each other. numba reads this when it is imported.
    """
    os.environ["NUMBA_NUM_THREADS"] = str(torch.get_num_threads())
    if sys.platform == "linux":
        os.environ["NUMBA_THREADING_LAYER"] = "omp"
    from stages.lib import kernels as compiled

    return compiled


def fits(features: Tensor) -> bool:
    """Say whether the kernels take features like these."""
    ordered = features.is_contiguous(memory_format=torch.channels_last)
    return features.device.type == "cpu" and features.dtype == torch.bfloat16 and ordered


def normalised_pool(features: Tensor, norm: Any, slope: float) -> Tensor:
    """Return leaky_relu(max_pool2d(norm(features), 2), slope), and update the BatchNorm2d `norm` as it would itself.

    Features are (N, C, H, W) for which `fits` holds.
    """
    if norm.training:
        moments = moments_of(features)
        with torch.no_grad():
            count = features.numel() // features.shape[1]
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(moments.mean, norm.momentum)
            norm.running_var.lerp_(moments.variance * (count / (count - 1)), norm.momentum)
    else:
        moments = Moments(norm.running_mean, norm.running_var, of_batch=False)
    deviation = (moments.variance + norm.eps).sqrt()
    pooled: Tensor = _NormalisedPool.apply(features, norm.weight, norm.bias, moments, deviation, slope)
    return pooled


class Moments(NamedTuple):
    """Mean and variance (the square's mean) of each channel (C,), of this batch or as they were learnt before."""

    mean: Tensor
    variance: Tensor
    of_batch: bool


def moments_of(features: Tensor) -> Moments:
    """Return the moments of a batch (N, C, H, W), summed in float32 within an image and in float64 across them."""
    values = _bits(features)
    images, height, width, channels = values.shape
    near = (values[0, 0, 0].astype(np.uint32) << 16).view(
        np.float32
    )  # the sums are of differences from a value of each
    sums = np.empty((images, 2, channels))
    kernels().sum_moments(values, near, sums)
    first, second = sums.sum(0) / (images * height * width)
    mean, variance = (torch.from_numpy(each).float() for each in (near + first, second - first * first))
    return Moments(mean, variance.clamp(min=0), of_batch=True)


class _NormalisedPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, *known: Any) -> Tensor:
        moments, deviation, slope = known
        scale = weight.detach() / deviation
        offset = bias.detach() - moments.mean * scale
        images, channels, height, width = features.shape
        shape = images, channels, height // 2, width // 2
        normal, kept = (torch.empty(shape, dtype=features.dtype, memory_format=torch.channels_last) for _ in range(2))
        chosen = np.empty((images, height // 2, width // 2, channels), np.uint8)
        ctx.slope = np.float32(slope)
        kernels().pool(_bits(features), scale.numpy(), offset.numpy(), ctx.slope, _bits(normal), _bits(kept), chosen)
        ctx.save_for_backward(features, kept)
        ctx.known = chosen, scale, deviation, moments
        return normal

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        features, kept = ctx.saved_tensors
        chosen, scale, deviation, moments = ctx.known
        incoming = _bits(gradient.contiguous(memory_format=torch.channels_last))
        sums = np.empty((len(chosen), 2, len(scale)))
        kernels().sum_gradients(incoming, _bits(kept), chosen, moments.mean.numpy(), ctx.slope, sums)
        of_bias, product = torch.from_numpy(sums.sum(0)).float()
        of_weight = product / deviation
        # by way of the batch's mean and variance, each value reaches every output of its channel
        share = len(scale) / features.numel() if moments.of_batch else 0.0
        linear = -scale / deviation * of_weight * share
        constant = -scale * of_bias * share - linear * moments.mean
        of_features = torch.empty_like(features)
        scale, constant, linear = (each.numpy() for each in (scale, constant, linear))
        kernels().spread_gradient(
            _bits(features), incoming, chosen, scale, constant, linear, ctx.slope, _bits(of_features)
        )
        return of_features, of_weight, of_bias, None, None, None


def _bits(tensor: Tensor) -> Array:
    """Return the memory of a channels_last tensor (N, C, H, W) of bfloat16 as uint16 (N, H, W, C)."""
    array: Array = tensor.detach().permute(0, 2, 3, 1).view(torch.uint16).numpy()
    return array
