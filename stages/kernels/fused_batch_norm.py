"""Batch normalisation and the layers after it in one pass over a convolution's output, on a CPU.

Half of the time of training went into these layers (the own CNN's; ResNet50's at 224 pixels), each of which reads and
writes all of its input.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.kernels.batch_norm import (
    SyncBatchNorm,
    batch_norm_backward,
    channels_last_array,
    has_numba_kernel,
    normalization_of,
    numba_kernels,
)

CONV_BLOCK = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.LeakyReLU)


def is_conv_blocks(module: nn.Module) -> bool:
    """Say whether it is a sequence of blocks of convolution, BatchNorm2d, 2x2 MaxPool2d and LeakyReLU."""
    if type(module) is not nn.Sequential:
        return False
    pools = [layer for layer in module if isinstance(layer, nn.MaxPool2d)]
    options = {(pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode) for pool in pools}
    return tuple(map(type, module)) == CONV_BLOCK * len(pools) and options == {(2, 2, 0, 1, False)}


def is_torchvision(module: nn.Module, name: str) -> bool:
    """Say whether it is a "ResNet" or "Bottleneck" of torchvision, without importing that, which takes seconds."""
    return (type(module).__module__, type(module).__name__) == ("torchvision.models.resnet", name)


class FusedConvBlocks(nn.Sequential):
    """Blocks that compute what nn.Sequential does."""

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C, H', W') of images (N, 3, H, W)."""
        layers: list[Any] = list(self)
        for convolution, norm, pool, activation in zip(*[iter(layers)] * len(CONV_BLOCK), strict=True):
            features = convolution(images)
            if has_numba_kernel(features):
                images = batch_norm_max_pool_leaky_relu(features, norm, activation.negative_slope)
            else:
                images = activation(pool(norm(features)))
        return images


class FusedBottleneck(nn.Module):
    """A block that computes what torchvision's Bottleneck does, of the same layers."""

    def forward(self: Any, features: Tensor) -> Tensor:
        """Return features (N, C', H', W') of features (N, C, H, W)."""
        shortcut = features
        if self.downsample is not None:
            convolution, norm = self.downsample
            shortcut = batch_norm_add_relu(convolution(features), norm, relu=False)
        features = batch_norm_add_relu(self.conv1(features), self.bn1)
        features = batch_norm_add_relu(self.conv2(features), self.bn2)
        return batch_norm_add_relu(self.conv3(features), self.bn3, shortcut)


class BatchNormReLU(SyncBatchNorm):
    """Batch normalisation and the ReLU after it."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) of such features."""
        if has_numba_kernel(features):
            return batch_norm_add_relu(features, self)
        return functional.relu(super().forward(features), inplace=True)


def batch_norm_max_pool_leaky_relu(features: Tensor, norm: Any, slope: float) -> Tensor:
    """Return leaky_relu(max_pool2d(norm(features), 2), slope), and update the running statistics of `norm`.

    Features (N, C, H, W) are such as `has_numba_kernel` holds for.
    """
    constants = normalization_of(features, norm), np.float32(slope)
    pooled: Tensor = _BatchNormMaxPoolLeakyReLU.apply(features, norm.weight, norm.bias, *constants)
    return pooled


def batch_norm_add_relu(features: Tensor, norm: Any, shortcut: Tensor | None = None, *, relu: bool = True) -> Tensor:
    """Return relu(norm(features) + shortcut), or without ReLU, and update the running statistics of `norm`.

    Features and shortcut are (N, C, H, W). What the kernels do not take goes through torch's own layers, and so does
    what a hook of the norm changes (stochastic depth).
    """
    is_alike = shortcut is None or (has_numba_kernel(shortcut) and shortcut.dtype == features.dtype)
    if not has_numba_kernel(features) or not is_alike or norm._forward_hooks:
        result: Tensor = norm(features)
        if shortcut is not None:
            result += shortcut
        return functional.relu(result, inplace=True) if relu else result
    constants = normalization_of(features, norm), np.float32(0 if relu else -np.inf)
    fused: Tensor = _BatchNormAddClamp.apply(features, norm.weight, norm.bias, shortcut, *constants)
    return fused


class _BatchNormMaxPoolLeakyReLU(torch.autograd.Function):
    """Max pooling selects one of four values, and normalising keeps their order: only that one is normalised."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, _weight: Tensor, _bias: Tensor, *constants: Any) -> Tensor:
        normalization, slope = constants
        images, channels, height, width = features.shape
        shape, order = (images, channels, height // 2, width // 2), torch.channels_last
        output, selected = (torch.empty(shape, dtype=features.dtype, memory_format=order) for _ in range(2))
        argmax = np.empty((images, height // 2, width // 2, channels), np.uint8)
        arrays = *map(channels_last_array, (output, selected)), argmax
        factors = normalization.scale, normalization.offset, slope
        numba_kernels().pool_forward(channels_last_array(features), *factors, *arrays)
        ctx.save_for_backward(features, selected)
        ctx.constants = normalization, slope, argmax
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        normalization, slope, argmax = ctx.constants
        features, selected = map(channels_last_array, ctx.saved_tensors)
        incoming = channels_last_array(gradient.contiguous(memory_format=torch.channels_last))
        gate = argmax, numba_kernels().POSITION, slope
        grad_weight, grad_bias, terms = batch_norm_backward(selected, incoming, gate, normalization)
        grad_features = torch.empty_like(ctx.saved_tensors[0])
        numba_kernels().pool_backward(features, incoming, argmax, slope, *terms, channels_last_array(grad_features))
        return grad_features, grad_weight, grad_bias, None, None


class _BatchNormAddClamp(torch.autograd.Function):
    """ReLU is a clamp at 0; without it, one at minus infinity."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, _weight: Tensor, _bias: Tensor, *others: Any) -> Tensor:
        shortcut, normalization, minimum = others
        output = torch.empty_like(features)
        inputs = channels_last_array(features), None if shortcut is None else channels_last_array(shortcut)
        factors = normalization.scale, normalization.offset, minimum
        numba_kernels().residual_forward(*inputs, *factors, channels_last_array(output))
        ctx.save_for_backward(features, output)
        ctx.constants = normalization, minimum, shortcut is not None
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        normalization, minimum, has_shortcut = ctx.constants
        features, output = map(channels_last_array, ctx.saved_tensors)
        incoming = channels_last_array(gradient.contiguous(memory_format=torch.channels_last))
        gate = output, minimum, None
        grad_weight, grad_bias, terms = batch_norm_backward(features, incoming, gate, normalization)
        grad_features = torch.empty_like(ctx.saved_tensors[0])
        grad_shortcut = torch.empty_like(grad_features) if has_shortcut else None
        outputs = [each if each is None else channels_last_array(each) for each in (grad_features, grad_shortcut)]
        numba_kernels().residual_backward(features, incoming, output, minimum, *terms, *outputs)
        return grad_features, grad_weight, grad_bias, grad_shortcut, None, None
