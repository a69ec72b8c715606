"""From which probability on an image is taken for one of the classes."""

import numpy as np
from numpy.typing import NDArray

from stages.statistics.temperature import Labels

REJECTED = 0.05  # of the images that are named correctly: what "none of these" may cost


def rejection_threshold(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Return the probability below which an image is better taken for none of the classes; 0 where nothing tells.

    All but one in twenty of the validation images (N, classes) that are named correctly lie at or above it.
    """
    confidence = probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels]
    return float(np.quantile(confidence, REJECTED, method="lower")) if len(confidence) else 0.0
