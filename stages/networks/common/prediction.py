"""What a network in torch gives for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stages.networks.common.contract import Normalisation

if TYPE_CHECKING:
    from stages.networks.common.image_set import ImageSet

# 256 images of 64 pixels, 20 of 224, 10 of 320: less than a training step, for nothing is kept for a way back
PIXELS_AT_A_TIME = 2**20
TINY = 1e-12


def add_flip_tta(model: nn.Module) -> None:
    """Have a network, unless it is in training, say the mean of its logits for an image and for its mirror image.

    Source: Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012.
    """
    model.register_forward_hook(_with_mirror_image)


def _with_mirror_image(model: nn.Module, images: tuple[Tensor], logits: Tensor) -> Tensor:
    return logits if model.training else (logits + model.forward(images[0].flip(3))) / 2


def raise_features_to_power(head: nn.Module, power: float) -> None:
    """Have a head be given sign(x) * |x| ** power of each feature x, as it was fitted."""
    # clamped: the gradient of a power below 1 has no bound at zero
    head.register_forward_pre_hook(lambda _, given: (given[0].sign() * given[0].abs().clamp(min=TINY) ** power,))


def normalised(pixels: Tensor, normalisation: Normalisation) -> Tensor:
    """Return pixels (n, H, W, 3) of uint8 as images (n, 3, H, W) of float32 in channels_last memory order."""
    # as rows of width x 3 values: a loop over three at a time would take longer
    lines = pixels.flatten(2).float()
    mean, scale = (torch.tensor(each * pixels.shape[2], device=lines.device) for each in normalisation)
    return lines.sub_(mean).div_(scale).view(pixels.shape).permute(0, 3, 1, 2)


def predict(model: nn.Module, images: ImageSet, part: slice = slice(None)) -> Tensor:
    """Return the logits (N, classes) of a network for images, or a part of them, as float32 on the CPU.

    How many it takes at a time follows from their size, so that the memory does not.
    """
    model.eval()
    batch_size = max(1, PIXELS_AT_A_TIME // images.image_size**2)
    with torch.inference_mode():
        return torch.cat([model(images).float().cpu() for images, _ in images.batches(batch_size, part)])
