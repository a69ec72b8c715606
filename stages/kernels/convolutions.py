"""Convolutions on a CPU: as matrix products or in float32, where oneDNN is slow otherwise."""

from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_WEIGHT_RATIO = 5  # weights for each value of the batch: from there on a 3x3 convolution is faster as a product
MIN_CHANNELS = 16  # with fewer, a product for the weights' gradient is not worth the copies of im2col
CHUNK_ROWS = 1024  # of a product at a time: what these are copied to stays in the processor's cache


class MatmulConv2d(nn.Conv2d):
    """A convolution that computes what nn.Conv2d does; 1x1 and, of small images, 3x3 ones as a matrix product.

    For the gradient of its weights oneDNN's convolution takes up to ten times as long as its matrix product. Where that
    is so of all sizes, that gradient alone is a product.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C', H', W') of images (N, C, H, W)."""
        if is_faster_as_matmul(self, images):
            return self._matmul(images)
        if has_slow_weight_gradient(self, images):
            features: Tensor = _MatmulWeightGradient.apply(images, self.weight, self.bias, self.stride[0])
            return features
        return super().forward(images)

    def _matmul(self, images: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel == 1:
            # of rows that are not contiguous torch would make many small products
            rows = images.permute(0, 2, 3, 1)[:, ::stride, ::stride].contiguous()
        else:
            rows = _Im2col.apply(images, kernel, stride)
        weights = self.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(rows, weights, self.bias).permute(0, 3, 1, 2)


def is_faster_as_matmul(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether a convolution of images in this memory order is faster as a matrix product."""
    has_many_weights = convolution.weight.numel() > MIN_WEIGHT_RATIO * images.numel()
    return supports_im2col(convolution, images) and (has_many_weights or convolution.kernel_size == (1, 1))


def has_slow_weight_gradient(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether oneDNN is slow at the gradient of a convolution's weights: in float32 with AVX2 alone."""
    is_float32 = images.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    has_only_avx2 = torch.backends.cpu.get_cpu_capability() == "AVX2"  # not AVX-512
    is_wide = convolution.kernel_size != (1, 1) and convolution.in_channels >= MIN_CHANNELS
    return is_float32 and is_wide and has_only_avx2 and supports_im2col(convolution, images)


def supports_im2col(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether it is a plain square convolution with "same" padding by zeros, of channels_last images on a CPU."""
    kernel, stride = convolution.kernel_size, convolution.stride
    is_plain = convolution.groups == 1 and convolution.dilation == (1, 1) and convolution.padding_mode == "zeros"
    is_square = kernel[0] == kernel[1] and stride[0] == stride[1] and convolution.padding == (kernel[0] // 2,) * 2
    is_ordered = images.device.type == "cpu" and images.is_contiguous(memory_format=torch.channels_last)
    return is_ordered and is_plain and is_square


def im2col(images: Tensor, kernel: int, stride: int) -> Tensor:
    """Return patches (N, H', W', kernel, kernel, C): what a padded convolution of images (N, C, H, W) sees."""
    padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, *[kernel // 2] * 4))
    return padded.unfold(1, kernel, stride).unfold(2, kernel, stride).permute(0, 1, 2, 4, 5, 3)


class _Im2col(torch.autograd.Function):
    """im2col with patches flattened: (N, H', W', kernel * kernel * C).

    Its gradient is a sum over the positions in a patch, of many values each; torch's own takes one value at a time.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernel: int, stride: int) -> Tensor:
        ctx.shape, ctx.kernel, ctx.stride = images.shape, kernel, stride
        return im2col(images, kernel, stride).flatten(3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (images, channels, height, width), kernel, stride = ctx.shape, ctx.kernel, ctx.stride
        padding, patches = kernel // 2, gradient.reshape(*gradient.shape[:3], kernel, kernel, channels)
        dtype = torch.promote_types(gradient.dtype, torch.float32)
        sums = gradient.new_zeros(images, height + 2 * padding, width + 2 * padding, channels, dtype=dtype)
        rows, columns = (stride * (positions - 1) + 1 for positions in gradient.shape[1:3])
        for y, x in product(range(kernel), repeat=2):
            sums[:, y : y + rows : stride, x : x + columns : stride] += patches[:, :, :, y, x]
        inner = sums[:, padding : padding + height, padding : padding + width].to(gradient.dtype)
        return inner.permute(0, 3, 1, 2), None, None


class _MatmulWeightGradient(torch.autograd.Function):
    """A convolution, the gradient of whose weights alone is a matrix product."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        return functional.conv2d(images, weight, bias, stride, weight.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (images, weight), stride, kernel = ctx.saved_tensors, ctx.stride, ctx.saved_tensors[1].shape[-1]
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        needs = ctx.needs_input_grad
        options = [stride] * 2, [kernel // 2] * 2, [1, 1], False, [0, 0], 1, [needs[0], False, False]
        grad_images = torch.ops.aten.convolution_backward(gradient, images, weight, None, *options)[0]
        grad_weight = weight_gradient(im2col(images, kernel, stride), gradient) if needs[1] else None
        return grad_images, grad_weight, gradient.sum((0, 2, 3)) if needs[2] else None, None


def weight_gradient(patches: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient (C', C, k, k) of a convolution's weights.

    That is the sum, over all positions, of patches (N, H', W', k, k, C) times the gradient of the output
    (N, C', H', W'): a matrix product, of some images or some lines of one at a time.
    """
    grad_output = gradient.permute(0, 2, 3, 1)
    images, height, width, channels = grad_output.shape
    chunk_images, chunk_lines = max(1, CHUNK_ROWS // (height * width)), min(height, max(1, CHUNK_ROWS // width))
    total = gradient.new_zeros(channels, patches[0, 0, 0].numel())
    for n, h in product(range(0, images, chunk_images), range(0, height, chunk_lines)):
        chunk = slice(n, n + chunk_images), slice(h, h + chunk_lines)
        rows = grad_output[chunk].flatten(0, 2)
        total.addmm_(rows.t(), patches[chunk].reshape(len(rows), -1))
    return total.view(channels, *patches.shape[3:]).permute(0, 3, 1, 2)


class NoAutocast(nn.Conv2d):
    """Mixed into a convolution's class: on a CPU it computes in the dtype of its weights, whatever autocast says."""

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C', H', W') of images (N, C, H, W)."""
        if images.device.type != "cpu":
            return super().forward(images)
        with torch.autocast("cpu", enabled=False):
            return super().forward(images.to(self.weight.dtype))


def is_depthwise(module: nn.Module) -> bool:
    """Say whether it is a convolution, of whichever class, with a group for each channel.

    oneDNN computes such in bfloat16 several times slower than in float32.
    """
    return isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels


@cache
def without_autocast(convolution_class: Any) -> Any:
    """Return a class of convolutions that compute in the dtype of their weights, else as the given class."""
    return type(f"NoAutocast{convolution_class.__name__}", (NoAutocast, convolution_class), {})
