"""Other splits of the same images into those that train and those that validate, for searches by cross-validation."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from stages.networks.common.image_set import ImageSet
from stages.training.head import Labels, assigned_folds


def fold_of(training: ImageSet, validation: ImageSet, fold: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """Return the images that train and that validate in a fold; fold 0 is the study's own split.

    In another one a part of the training images validates, about as many as of the study's validation images, which
    train instead; the parts of different folds are disjoint as long as there are any left.
    """
    if fold == 0:
        return training, validation
    held_out = held_out_rows(training, validation, fold, seed)
    rest, part = (training.subset(np.flatnonzero(rows)) for rows in (~held_out, held_out))
    together = replace(
        rest,
        pixels=torch.cat([rest.pixels, validation.pixels.to(rest.pixels.device)]),
        labels=torch.cat([rest.labels, validation.labels]),
        paths=[*rest.paths, *validation.paths],
        groups=None,
    )
    return together, part


def held_out_rows(training: ImageSet, validation: ImageSet, fold: int, seed: int) -> NDArray[np.bool_]:
    """Say of each training image (n,) whether it validates in a fold, 1 or more."""
    count = max(2, round(len(training) / max(len(validation), 1)))
    folds = assigned_folds(training.labels.cpu().numpy(), _group_numbers(training), count, seed)
    return np.asarray(folds == (fold - 1) % count)


def _group_numbers(images: ImageSet) -> Labels:
    """Return a number for each image (n,), the same for those of one group."""
    first: dict[str, int] = {}
    names = images.groups or [""] * len(images)
    return np.array([first.setdefault(name, row) if name else row for row, name in enumerate(names)])
