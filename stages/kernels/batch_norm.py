"""Batch normalisation on a CPU: the statistics of a batch, over all processes, and the gradient through them.

Source of the gradient: Ioffe and Szegedy, Batch normalization, 2015.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stages.hardware import distributed

Array = np.ndarray[Any, Any]


@cache
def numba_kernels() -> Any:
    """Import the kernels, with as many threads as torch has, and torch's own threads where numba can take them.

    Two sets of threads would wait for each other. numba reads all of this when it is imported. What it has compiled it
    keeps beside the code or, where that is read-only, in the study; in a container there may be no home for it.
    """
    os.environ["NUMBA_NUM_THREADS"] = str(torch.get_num_threads())
    if sys.platform == "linux":
        os.environ["NUMBA_THREADING_LAYER"] = "omp"
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(".dvc/tmp/numba").resolve())
        os.environ["NUMBA_CACHE_LOCATOR_CLASSES"] = "InTreeCacheLocator,UserProvidedCacheLocator"
    from stages.kernels import numba_kernels

    return numba_kernels


def has_numba_kernel(features: Tensor) -> bool:
    """Say whether the kernels take features (N, C, H, W): channels_last, in bfloat16 or float32, on a CPU."""
    # an empty batch is in any order; torch's own layers would ask the other processes for other sums
    is_channels_last = not len(features) or features.is_contiguous(memory_format=torch.channels_last)
    return features.device.type == "cpu" and features.dtype in (torch.bfloat16, torch.float32) and is_channels_last


def channels_last_array(tensor: Tensor) -> Array:
    """Return a view (N, H, W, C) of a channels_last tensor (N, C, H, W): float32, or bfloat16's bits as uint16."""
    view = tensor.detach().permute(0, 2, 3, 1)
    array: Array = (view.view(torch.uint16) if tensor.dtype == torch.bfloat16 else view).numpy()
    return array


class Normalization(NamedTuple):
    """What a BatchNorm2d does to each channel (C,): its output is scale * input + offset.

    `sample_size` is how many inputs of a channel have this mean and standard deviation: 0 for running statistics.
    """

    mean: Array
    std: Array
    scale: Array
    offset: Array
    sample_size: int


@np.errstate(all="ignore")  # a training that diverges is found by its loss
def normalization_of(features: Tensor, norm: Any) -> Normalization:
    """Return what a BatchNorm2d does to features, and update its running statistics as it would itself.

    By numpy, which is faster than torch for so few numbers.
    """
    running_mean, running_var = norm.running_mean.numpy(), norm.running_var.numpy()
    mean, variance, count = running_mean, running_var, 0
    if norm.training:
        mean, variance, count = mean_and_variance(features)
        norm.num_batches_tracked.add_(1)
        running_mean += norm.momentum * (mean - running_mean)
        running_var += norm.momentum * (variance * (count / (count - 1)) - running_var)
    std = np.sqrt(variance + norm.eps)
    scale = norm.weight.detach().numpy() / std
    return Normalization(mean, std, scale, norm.bias.detach().numpy() - mean * scale, count)


def mean_and_variance(features: Tensor) -> tuple[Array, Array, int]:
    """Return mean and biased variance of each channel (C,) over all processes, and of how many values they are.

    Summed in float32 within an image, then in float64; given as float32.
    """
    count = features.numel() // features.shape[1]
    if distributed.count() == 1:
        mean, variance = _local_mean_and_variance(features)
    else:
        # of a last, small batch a process may have nothing
        mean, variance = _local_mean_and_variance(features) if count else np.zeros((2, features.shape[1]))
        sums = np.stack([np.ones_like(mean), mean, variance + mean**2]) * count
        counts, total, total_of_squares = distributed.all_reduce(torch.from_numpy(sums)).numpy()
        mean, count = total / counts, int(counts[0])
        variance = np.maximum(total_of_squares / counts - mean**2, 0)
    return mean.astype(np.float32), variance.astype(np.float32), count


def _local_mean_and_variance(features: Tensor) -> tuple[Array, Array]:
    images, channels, height, width = features.shape
    # one value of each channel, subtracted before squaring: squares of large values would hide a small variance
    shift = features[0, :, 0, 0].detach().float().numpy()
    sums = np.empty((images, 2, channels))
    numba_kernels().shifted_sums(channels_last_array(features), shift, sums)
    mean, mean_of_squares = sums.sum(0) / (images * height * width)
    return shift + mean, np.maximum(mean_of_squares - mean * mean, 0)


@np.errstate(all="ignore")
def batch_norm_backward(
    inputs: Array, gradient: Array, activation: tuple[Any, ...], normalization: Normalization
) -> tuple[Tensor, Tensor, tuple[Array, Array, Array]]:
    """Return the gradients of weight and bias (C,), and for that of the input `scale`, `constant` and `linear` (C,).

    That is constant + linear * input + scale * the gradient before the activation. `inputs` and `gradient` are
    (N, H, W, C); `activation` is the gate, threshold and slope of numba_kernels.backward_sums.
    """
    mean, std, scale, _, sample_size = normalization
    sums = np.empty((len(inputs), 2, len(mean)))
    numba_kernels().backward_sums(inputs, gradient, *activation, mean, sums)
    sums = sums.sum(0)
    grad_bias, product = sums.astype(np.float32)
    constant = linear = np.zeros_like(grad_bias)
    if sample_size:
        # through the batch's mean and variance each value reaches every output of its channel, in all processes
        total, total_product = distributed.all_reduce(torch.from_numpy(sums)).numpy().astype(np.float32)
        share = scale / sample_size
        linear = -share / std * (total_product / std)
        constant = -share * total - linear * mean
    return torch.from_numpy(product / std), torch.from_numpy(grad_bias), (scale, constant, linear)


class SyncBatchNorm(nn.BatchNorm2d):
    """nn.SyncBatchNorm for CPUs: with one process, or by running statistics, it is torch's own BatchNorm2d."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) of such features, of which this process may have none."""
        if not self.training or distributed.count() == 1:
            return super().forward(features)
        count = torch.full((features.shape[1],), features.numel() / features.shape[1], dtype=torch.float64)
        doubles = features.double()
        sums = [count.to(features.device), doubles.sum((0, 2, 3)), doubles.square().sum((0, 2, 3))]
        count, total, total_of_squares = distributed.differentiable_all_reduce(torch.stack(sums))
        mean = total / count
        variance = (total_of_squares / count - mean.square()).clamp(min=0)
        with torch.no_grad():
            for running, value in ((self.running_mean, mean), (self.running_var, variance * count / (count - 1))):
                running.lerp_(value.to(running.dtype), self.momentum)  # type: ignore[union-attr, arg-type]  # kept
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        scale = self.weight / (variance.float() + self.eps).sqrt()
        offset = self.bias - mean.float() * scale
        return torch.addcmul(offset[:, None, None], features.float(), scale[:, None, None]).to(features.dtype)


def convert_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Return a network on a CPU whose batch normalisation is over the batches of all processes."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm
    return model
