"""What batch normalisation needs of a batch, and how a gradient comes back through it, for the kernels on a CPU.

Source of the gradient: Ioffe and Szegedy, Batch normalization, 2015.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.hardware import distributed

Array = np.ndarray[Any, Any]
PRECISIONS = (torch.bfloat16, torch.float32)


@cache
def kernels() -> Any:
    """Import the kernels, with as many threads as torch has, and the same ones where numba can take them.

    Two sets of threads would wait for each other. numba reads all of this when it is imported. What it has compiled it
    keeps beside the code or, where that is read-only, in the study; in a container there may be no home for it.
    """
    os.environ["NUMBA_NUM_THREADS"] = str(torch.get_num_threads())
    if sys.platform == "linux":
        os.environ["NUMBA_THREADING_LAYER"] = "omp"
    if "NUMBA_CACHE_DIR" not in os.environ:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(".dvc/tmp/numba").resolve())
        os.environ["NUMBA_CACHE_LOCATOR_CLASSES"] = "InTreeCacheLocator,UserProvidedCacheLocator"
    from stages.kernels import compiled

    return compiled


def is_supported(features: Tensor) -> bool:
    """Say whether the kernels take features like these: (N, C, H, W), channels_last, on a CPU."""
    # of none the order is any; the other way would ask other processes for other sums
    ordered = not len(features) or features.is_contiguous(memory_format=torch.channels_last)
    return features.device.type == "cpu" and features.dtype in PRECISIONS and ordered


def memory(tensor: Tensor) -> Array:
    """Return the memory of a tensor (N, C, H, W) that fits as (N, H, W, C): float32, or uint16 for bfloat16's bits."""
    ordered = tensor.detach().permute(0, 2, 3, 1)
    array: Array = (ordered.view(torch.uint16) if tensor.dtype == torch.bfloat16 else ordered).numpy()
    return array


class BatchStatistics(NamedTuple):
    """Mean and standard deviation of each channel (C,), of so many of its features, in all processes.

    With 0 features they are as they were learnt before.
    """

    mean: Array
    deviation: Array
    features: int


@np.errstate(all="ignore")  # a training that diverges is found by its loss
def moments(features: Tensor, norm: Any) -> BatchStatistics:
    """Return by what a BatchNorm2d normalises features that fit, and update what it has learnt as it would itself.

    On so few numbers numpy is sooner done than torch.
    """
    learnt_mean, learnt_variance = norm.running_mean.numpy(), norm.running_var.numpy()
    if not norm.training:
        return BatchStatistics(learnt_mean, np.sqrt(learnt_variance + norm.eps), 0)
    mean, variance, count = of_batch(features)
    norm.num_batches_tracked.add_(1)
    learnt_mean += norm.momentum * (mean - learnt_mean)
    learnt_variance += norm.momentum * (variance * (count / (count - 1)) - learnt_variance)
    return BatchStatistics(mean, np.sqrt(variance + norm.eps), count)


def of_batch(features: Tensor) -> tuple[Array, Array, int]:
    """Return mean and variance (the square's mean) of each channel, and the count of features of which they are.

    Summed in float32 within an image, then in float64; given as float32.
    """
    if distributed.count() > 1:
        return _of_all_batches(features)
    mean, variance = _of_one_batch(features)
    return _single(mean), _single(variance), features.numel() // features.shape[1]


def _of_all_batches(features: Tensor) -> tuple[Array, Array, int]:
    sums = np.zeros((3, features.shape[1]))
    if len(features):  # of a last, small batch a process may have nothing
        mean, variance = _of_one_batch(features)
        sums[:] = np.ones_like(mean), mean, variance + mean**2
        sums *= features.numel() // features.shape[1]
    count, first, second = distributed.all_reduce(torch.from_numpy(sums)).numpy()
    mean = first / count
    return _single(mean), _single(np.maximum(second / count - mean**2, 0)), int(count[0])


def _of_one_batch(features: Tensor) -> tuple[Array, Array]:
    values = memory(features)
    images, height, width, channels = values.shape
    # the sums are of differences from one value of each channel: squares of large values would hide a small variance
    near = features[0, :, 0, 0].detach().float().numpy()
    sums = np.empty((images, 2, channels))
    kernels().sum_moments(values, near, sums)
    first, second = sums.sum(0) / (images * height * width)
    return near + first, np.maximum(second - first * first, 0)


@np.errstate(all="ignore")
def scale_and_offset(moments: BatchStatistics, weight: Tensor, bias: Tensor) -> tuple[Array, Array]:
    """Return scale and offset (C,): what batch normalisation makes of a feature is scale * feature + offset."""
    scale = weight.detach().numpy() / moments.deviation
    return scale, bias.detach().numpy() - moments.mean * scale


class GradientTerms(NamedTuple):
    """Gradients of weight and bias (C,), and of a feature: constant + linear * feature + scale * what came in."""

    of_weight: Tensor
    of_bias: Tensor
    constant: Array
    linear: Array


@np.errstate(all="ignore")
def gradient_terms(sums: Array, moments: BatchStatistics, scale: Array) -> GradientTerms:
    """Return how a gradient goes on.

    Its `sums` (N, 2, C) over each image are plain and weighted with feature - mean.
    """
    both = sums.sum(0)
    of_bias, product = _single(both)
    of_weight = product / moments.deviation
    constant = linear = np.zeros_like(of_bias)
    if moments.features:
        # by way of the batch's mean and variance, each value reaches every output of its channel, in all processes
        bias_of_all, product_of_all = _single(distributed.all_reduce(torch.from_numpy(both)).numpy())
        share = scale / moments.features
        linear = -share / moments.deviation * (product_of_all / moments.deviation)
        constant = -share * bias_of_all - linear * moments.mean
    return GradientTerms(torch.from_numpy(of_weight), torch.from_numpy(of_bias), constant, linear)


def _single(values: Array) -> Array:
    return values.astype(np.float32)
