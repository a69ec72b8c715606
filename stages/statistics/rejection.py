"""From which probability on an image is taken for one of the classes."""

import numpy as np

from stages.statistics.estimates import Floats, Integers

REJECTED = 0.05  # of the images that are predicted correctly: what "none of these" may cost


def rejection_threshold(
    probabilities: Floats, labels: Integers, groups: Integers | None = None, rejected: float = REJECTED
) -> float:
    """Return the probability below which at most one in twenty new images that are predicted correctly lies.

    From validation images (N, classes) that are predicted correctly, of each group the lowest. 0, which rejects
    nothing, for fewer than 19. Source: the conformal quantile, Vovk, Gammerman and Shafer, Algorithmic learning in a
    random world, 2005.
    """
    correct = probabilities.argmax(axis=1) == labels
    confidence = probabilities.max(axis=1)[correct]
    if groups is not None and len(confidence):
        number = np.unique(groups[correct], return_inverse=True)[1]
        lowest = np.ones(number.max() + 1)
        np.minimum.at(lowest, number, confidence)
        confidence = lowest
    rank = int(np.floor(rejected * (len(confidence) + 1) + 1e-9))
    return float(np.sort(confidence)[rank - 1]) if rank else 0.0
