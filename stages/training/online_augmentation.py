"""Random changes to each training batch, never the same twice: of each image, and mixtures of two images.

Sources: crops, Szegedy et al., Going deeper with convolutions, 2015; mixup, Zhang et al., 2018; CutMix, Yun et al.,
2019.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.networks.common.settings import OnlineAugmentation

LOG_RATIO = np.log(4 / 3)  # crops are at most so much wider than high, or higher than wide


class Batch(NamedTuple):
    """Images (n, 3, H, W), and for each the share of every class in it (n, classes)."""

    images: Tensor
    targets: Tensor


def augmented_batch(
    batch: Batch, settings: OnlineAugmentation, rng: np.random.Generator, part: slice = slice(None)
) -> Batch:
    """Return a batch, or a part of it, as `settings` change it with draws from `rng` for the whole of it."""
    images, targets = batch
    mixers = [(mixup, settings.mixup), (cutmix, settings.cutmix)]
    chosen = [(mix, alpha) for mix, alpha in mixers if alpha > 0 and settings.enabled]
    needed = slice(None) if chosen else part  # partners may be anywhere in the batch
    if settings.enabled and (settings.flip or settings.shift or settings.crop < 1):
        # what is only moved keeps its pixels: interpolated ones would be softer than those of the pixels to predict
        mode = "bilinear" if settings.crop < 1 else "nearest"
        images = affine_warp(images[needed], random_affine_maps(images, settings, rng)[needed], mode)
    else:
        images = images[needed]
    if not chosen:
        return Batch(images, targets[part])
    mix, alpha = chosen[rng.integers(len(chosen))]
    partners = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    mixed = mix(Batch(images, targets), partners, float(rng.beta(alpha, alpha)), rng)
    return Batch(mixed.images[part], mixed.targets[part])


def random_affine_maps(images: Tensor, settings: OnlineAugmentation, rng: np.random.Generator) -> Tensor:
    """Return affine maps (n, 2, 3) from an image's coordinates, -1 to 1, to those of a random part of it."""
    count, sides = len(images), np.array(images.shape[:1:-1])[:, None]
    area = rng.uniform(settings.crop, 1, count)
    furthest = np.minimum(LOG_RATIO, np.log(1 / area))  # nearly all of an image has nearly its shape
    ratio = np.exp(rng.uniform(-furthest, furthest))
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    most = np.rint(settings.shift * sides).astype(int)
    moved = rng.integers(-most, most + 1, (2, count)) * 2 / sides  # by whole pixels
    left, top = rng.uniform(-1, 1, (2, count)) * [1 - width, 1 - height] + moved
    mirror = rng.choice([-1, 1], count) if settings.flip else 1
    zero = np.zeros(count)
    maps = np.array([[width * mirror, zero, left], [zero, height, top]], np.float32)
    return torch.from_numpy(maps).permute(2, 0, 1)


def affine_warp(images: Tensor, maps: Tensor, mode: str) -> Tensor:
    """Return the part of each image that its affine map of `maps` (n, 2, 3) covers, resized to the size of the image.

    Beyond an edge an image is continued by its mirror image.
    """
    grid = functional.affine_grid(maps.to(images.device), list(images.shape), align_corners=False)
    sampled = functional.grid_sample(images, grid, mode=mode, padding_mode="reflection", align_corners=False)
    return sampled.contiguous(memory_format=torch.channels_last)


def mixup(batch: Batch, partners: Tensor, share: float, rng: np.random.Generator) -> Batch:
    """Return each image faded into its partner: `share` of itself and of its target."""
    images = batch.images.mul(share).add_(batch.images[partners], alpha=1 - share)
    return Batch(images, share * batch.targets + (1 - share) * batch.targets[partners])


def cutmix(batch: Batch, partners: Tensor, share: float, rng: np.random.Generator) -> Batch:
    """Return each image with a box from its partner over it; what is covered of the box counts in the targets."""
    height, width = batch.images.shape[2:]
    centre, half = rng.uniform(0, [height, width]), np.array([height, width]) * np.sqrt(1 - share) / 2
    top, left = np.maximum(np.rint(centre - half).astype(int), 0)
    bottom, right = np.minimum(np.rint(centre + half).astype(int), [height, width])
    images = batch.images.clone()
    images[:, :, top:bottom, left:right] = batch.images[partners, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return Batch(images, kept * batch.targets + (1 - kept) * batch.targets[partners])
