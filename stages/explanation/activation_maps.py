"""Where a network with a linear head on averaged features looked: its class activation maps, without gradients.

Source: Zhou et al., Learning deep features for discriminative localization, 2016. It is Grad-CAM of such a head.
"""

import numpy as np
from numpy.typing import NDArray

TINY = 1e-12


def class_activation_maps(
    feature_maps: NDArray[np.float32], weight: NDArray[np.float32], classes: NDArray[np.int64], power: float
) -> NDArray[np.float32]:
    """Return maps (n, h, w), 0 to 1, of how much each part of an image spoke for its class (n,).

    `feature_maps` (n, d, h, w) are averaged, raised to a power, and weighted by `weight` (classes, d).
    """
    averages = np.maximum(np.abs(feature_maps.mean(axis=(2, 3))), TINY)
    slopes = weight[classes] * power * averages ** (power - 1)
    maps = np.maximum(np.einsum("nd,ndhw->nhw", slopes, feature_maps), 0)
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray(maps / np.where(highest > 0, highest, 1), np.float32)
