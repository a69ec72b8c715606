"""Convolutions as matrix products, where those are faster on a CPU."""

from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGE_WEIGHTS = 5  # times the values of the batch: from there on a 3x3 convolution is faster as a product
ROWS = 1024  # of a product at a time: what these are copied to stays in the processor's cache
NARROW = 16  # channels; with fewer a product of a convolution's windows is not worth copying them


class MatrixConvolution(nn.Conv2d):
    """A convolution that computes what nn.Conv2d does; 1x1 and, of small images, 3x3 ones as a matrix product.

    For the gradient of its weights oneDNN's convolution takes up to ten times as long as its matrix product. Where that
    is so of all sizes, that gradient alone is a product.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C', H', W') of images (N, C, H, W)."""
        if is_product(self, images):
            return self._product(images)
        if has_slow_weight_gradient(self, images):
            features: Tensor = _Convolution.apply(images, self.weight, self.bias, self.stride[0])
            return features
        return super().forward(images)

    def _product(self, images: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel == 1:
            # of other rows torch would make many small products
            rows = images.permute(0, 2, 3, 1)[:, ::stride, ::stride].contiguous()
        else:
            rows = _Windows.apply(images, kernel, stride)
        weights = self.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(rows, weights, self.bias).permute(0, 3, 1, 2)


def unfolded(images: Tensor, kernel: int, stride: int) -> Tensor:
    """Return what a convolution of images (N, C, H, W), zeros around them, sees at each place: (N, H', W', k, k, C)."""
    around = functional.pad(images.permute(0, 2, 3, 1), (0, 0, *[kernel // 2] * 4))
    return around.unfold(1, kernel, stride).unfold(2, kernel, stride).permute(0, 1, 2, 4, 5, 3)


def is_product(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether a convolution of images in this memory order is better done as a matrix product."""
    many = convolution.weight.numel() > LARGE_WEIGHTS * images.numel()
    return has_same_padding(convolution, images) and (many or convolution.kernel_size == (1, 1))


def has_slow_weight_gradient(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether oneDNN is slow at the gradient of a convolution's weights: in float32 with AVX2 alone."""
    exact = images.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    wide = convolution.kernel_size != (1, 1) and convolution.in_channels >= NARROW
    return exact and wide and has_avx2_alone() and has_same_padding(convolution, images)


def has_same_padding(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether a convolution is square, with so many zeros around that it halves a side by its stride alone."""
    kernel, stride = convolution.kernel_size, convolution.stride
    is_supported = images.device.type == "cpu" and images.is_contiguous(memory_format=torch.channels_last)
    usual = convolution.groups == 1 and convolution.dilation == (1, 1) and convolution.padding_mode == "zeros"
    square = kernel[0] == kernel[1] and stride[0] == stride[1] and convolution.padding == (kernel[0] // 2,) * 2
    return is_supported and usual and square


@cache
def has_avx2_alone() -> bool:
    """Say whether this is a processor with AVX2 and without AVX-512."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


class _Windows(torch.autograd.Function):
    """What a convolution sees at each place, as rows (N, H', W', k * k * C).

    The way back is a sum over the places in the window, of many values each; torch's own takes one value at a time.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernel: int, stride: int) -> Tensor:
        ctx.shape, ctx.kernel, ctx.stride = images.shape, kernel, stride
        return unfolded(images, kernel, stride).flatten(3)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (images, channels, height, width), kernel, stride = ctx.shape, ctx.kernel, ctx.stride
        edge, seen = kernel // 2, gradient.reshape(*gradient.shape[:3], kernel, kernel, channels)
        precision = torch.promote_types(gradient.dtype, torch.float32)
        sums = gradient.new_zeros(images, height + 2 * edge, width + 2 * edge, channels, dtype=precision)
        down, right = (stride * (places - 1) + 1 for places in gradient.shape[1:3])
        for y, x in product(range(kernel), repeat=2):
            sums[:, y : y + down : stride, x : x + right : stride] += seen[:, :, :, y, x]
        inner = sums[:, edge : edge + height, edge : edge + width].to(gradient.dtype)
        return inner.permute(0, 3, 1, 2), None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride = stride
        return functional.conv2d(images, weight, bias, stride, weight.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        kernel, (for_images, for_weight, for_bias, _) = weight.shape[-1], ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        shape = [ctx.stride] * 2, [kernel // 2] * 2, [1, 1], False, [0, 0], 1
        of_images, of_weight, of_bias = None, None, None
        if for_images:
            wanted = [True, False, False]
            of_images = torch.ops.aten.convolution_backward(gradient, images, weight, None, *shape, wanted)[0]
        if for_weight:
            of_weight = gradient_of_weights(unfolded(images, kernel, ctx.stride), gradient)
        if for_bias:
            of_bias = gradient.sum((0, 2, 3))
        return of_images, of_weight, of_bias, None


def gradient_of_weights(seen: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient (C', C, k, k) of a convolution's weights.

    That is the sum, over all places, of what it saw (N, H', W', k, k, C) times the gradient of what it gave
    (N, C', H', W'): a matrix product, of some images or some lines of one at a time.
    """
    incoming = gradient.permute(0, 2, 3, 1)
    images, height, width, channels = incoming.shape
    some, lines = max(1, ROWS // (height * width)), min(height, max(1, ROWS // width))
    total = gradient.new_zeros(channels, seen[0, 0, 0].numel())
    for n in range(0, images, some):
        for h in range(0, height, lines):
            rows = incoming[n : n + some, h : h + lines].flatten(0, 2)
            total.addmm_(rows.t(), seen[n : n + some, h : h + lines].reshape(len(rows), -1))
    return total.view(channels, *seen.shape[3:]).permute(0, 3, 1, 2)
