"""Convolutions as matrix products, where those are faster on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGE_WEIGHTS = 5  # times the values of the batch: from there on a 3x3 convolution is faster as a product


class MatrixConvolution(nn.Conv2d):
    """A convolution that computes what nn.Conv2d does; 1x1 and, of small images, 3x3 ones as a matrix product.

    For the gradient of its weights oneDNN's convolution takes up to ten times as long as its matrix product.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, C', H', W') of images (N, C, H, W)."""
        if not is_product(self, images):
            return super().forward(images)
        rows = images.permute(0, 2, 3, 1)
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel == 1:
            rows = rows[:, ::stride, ::stride].contiguous()  # of other rows torch would make many small products
        else:
            around = functional.pad(rows, (0, 0, *[kernel // 2] * 4))
            windows = around.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (N, H', W', C, 3, 3)
            rows = windows.permute(0, 1, 2, 4, 5, 3).flatten(3)
        weights = self.weight.permute(0, 2, 3, 1).flatten(1)
        return functional.linear(rows, weights, self.bias).permute(0, 3, 1, 2)


def is_product(convolution: nn.Conv2d, images: Tensor) -> bool:
    """Say whether a convolution of images in this memory order is better done as a matrix product."""
    kernel, stride = convolution.kernel_size, convolution.stride
    fits = images.device.type == "cpu" and images.is_contiguous(memory_format=torch.channels_last)
    usual = convolution.groups == 1 and convolution.dilation == (1, 1) and convolution.padding_mode == "zeros"
    square = kernel[0] == kernel[1] and stride[0] == stride[1] and convolution.padding == (kernel[0] // 2,) * 2
    small = kernel == (1, 1) or convolution.weight.numel() > LARGE_WEIGHTS * images.numel()
    return fits and usual and square and small
