"""Whether an image is like any that a network learned from: by its evidence, which is low for anything else.

The evidence is the logarithm of the sum of the exponentiated logits, less their mean: high where one class or several
stand out, whatever their shares. Source: Liu, Wang, Owens and Li, Energy-based out-of-distribution detection, 2020.
"""

import numpy as np
from scipy.special import logsumexp

from stages.statistics.estimates import Floats, Integers

REJECTED = 0.05  # of the images of the network's own classes: the false alarms


def evidence(logits: Floats) -> Floats:
    """Return the evidence (N,) of scaled logits (N, classes), in nats."""
    found: Floats = logsumexp(logits - logits.mean(axis=1, keepdims=True), axis=1)
    return found


def rejection_threshold(logits: Floats, groups: Integers | None = None, rejected: float = REJECTED) -> float | None:
    """Return the evidence below which at most one in twenty new images of the network's classes lies.

    From scaled logits (N, classes) of images that it did not learn, of each group the lowest. None, which rejects
    nothing, for fewer than 19. Source: the conformal quantile, Vovk, Gammerman and Shafer, Algorithmic learning in a
    random world, 2005.
    """
    values = evidence(logits)
    if groups is not None and len(values):
        number = np.unique(groups, return_inverse=True)[1]
        lowest = np.full(number.max() + 1, np.inf)
        np.minimum.at(lowest, number, values)
        values = lowest
    rank = int(np.floor(rejected * (len(values) + 1) + 1e-9))
    return float(np.sort(values)[rank - 1]) if rank else None
