"""How sure a comparison is: what other test pictures might have said."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from stages.lib.streams import stream

RESAMPLES = 10_000
CONFIDENCE = 0.95

Fractions = NDArray[np.float64]  # of each test picture: the share of a kind's runs that named it rightly


class Interval(NamedTuple):
    """A mean, and the bounds between which 95 % of all sets of test pictures would have put it."""

    mean: float
    low: float
    high: float


def interval(values: Fractions) -> Interval:
    """Return the mean of values (N,) with the percentile bootstrap's interval over pictures.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993. The draws are always the same.
    """
    # to draw N pictures is to draw how often each distinct value comes: the same, in a fraction of the time
    distinct, counts = np.unique(values, return_counts=True)
    drawn = stream(0, "bootstrap").multinomial(len(values), counts / len(values), RESAMPLES)
    means = drawn @ distinct / len(values)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the p-value of the exact McNemar test that two networks are right on pictures (N,) equally often.

    Only pictures on which one is right and the other wrong count. Source: McNemar, 1947; Fagerland et al., 2013.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    # scipy.stats has this as binomtest, which takes a second to import
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
