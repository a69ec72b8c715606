"""Accuracies with intervals that stay between 0 and 1, also where all is correct or none."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, ndtri

from stages.statistics.estimates import ALPHA, Estimates, Floats, Integers, estimate


class Intervals(NamedTuple):
    """Values, and the bounds between which the truth lies in 95 % of all studies: (K,) each."""

    mean: Floats
    low: Floats
    high: Floats


def accuracies(
    correct: NDArray[Any], groups: Integers | None = None, weights: Floats | None = None, alpha: float = ALPHA
) -> Intervals:
    """Return the accuracy of each configuration (C,) of `correct` (C, S, N), over images and, if several, seeds.

    With `weights` from `equal_classes` it is the balanced accuracy. Source of that: Brodersen et al., 2010.
    """
    estimates = estimate(correct, np.eye(len(correct)), groups, weights)
    return accuracy_intervals(estimates.mean, estimates, alpha)


def accuracy_intervals(shares: Floats, estimates: Estimates, alpha: float = ALPHA) -> Intervals:
    """Return intervals of shares (K,) with the variance of `estimates`.

    The binomial's mid-P interval of as many images as would have this variance if all outcomes were independent.
    Sources: Korn and Graubard, 1998; Lancaster, 1961. Wilson's holds the truth in 86 % of studies where a few groups
    are nearly all correct.
    """
    shares = np.clip(shares, 0, 1)  # a mean of ones may be a hair more
    normal = -ndtri(alpha / 2)
    images = np.minimum(
        estimates.binomial_variance() * (normal / estimates.half_width(alpha)) ** 2, estimates.seeds * estimates.images
    )
    low, high = mid_p_interval(shares * images, images, alpha)
    return Intervals(shares, np.minimum(low, shares), np.maximum(high, shares))


def mid_p_interval(correct: Floats, of: Floats, alpha: float = ALPHA) -> tuple[Floats, Floats]:
    """Return mid-P bounds (K,) of a share, `correct` of `of`, which need not be whole numbers."""
    incorrect = np.maximum(of - correct, 0)
    return _lowest(correct, incorrect, alpha), 1 - _lowest(incorrect, correct, alpha)


def _lowest(correct: Floats, incorrect: Floats, alpha: float) -> Floats:
    """Return the share at which as many correct or more, as many counted half, have the probability alpha / 2."""
    low, high = np.zeros_like(correct), np.ones_like(correct)
    for _ in range(50):
        middle = (low + high) / 2
        as_many = np.where(correct > 0, betainc(np.maximum(correct, 1e-9), incorrect + 1, middle), 1.0)
        more = np.where(incorrect > 0, betainc(correct + 1, np.maximum(incorrect, 1e-9), middle), 0.0)
        below = (as_many + more) / 2 < alpha / 2
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(correct > 1e-9, low, 0.0)


def equal_classes(labels: Integers) -> Floats:
    """Return the weights (N,) of images by which each class counts alike."""
    _, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[number])


def no_information_rate(labels: Integers) -> float:
    """Return the share of the commonest class: how often who always names it is correct. Source: Kuhn, 2008."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def class_accuracies(correct: Integers, images_of_class: Integers, alpha: float = ALPHA) -> Intervals:
    """Return the accuracy of each class (K,) shrunk towards that of all, from outcomes that were correct and given.

    The fewer images, the more: a class of three that were all missed is seldom as bad as that. How much classes differ
    is not known either; the interval averages over it. Sources: Efron and Morris, 1975;
    beta-binomial with a uniform prior on strength ** -0.5: Gelman et al., Bayesian data analysis, 2013, 5.3. Leave out
    classes without images.
    """
    strength = np.geomspace(0.5, 2000, 40)[:, None]  # of the prior, in images
    mean = (correct.sum() + 1) / (images_of_class.sum() + 2)
    prior = mean * strength, (1 - mean) * strength
    posterior = prior[0] + correct, prior[1] + images_of_class - correct  # (40, K)
    likelihood = (betaln(*posterior) - betaln(*prior)).sum(axis=1, keepdims=True) - np.log(strength) / 2
    weight = np.exp(likelihood - likelihood.max())
    weight /= weight.sum()
    bounds = []
    for level in (alpha / 2, 1 - alpha / 2):
        low, high = np.zeros(len(correct)), np.ones(len(correct))
        for _ in range(40):
            middle = (low + high) / 2
            below = (weight * betainc(*posterior, middle)).sum(axis=0) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        bounds.append(low)
    return Intervals((weight * posterior[0] / (strength + images_of_class)).sum(axis=0), bounds[0], bounds[1])
