"""Differences between configurations: p-values and intervals that agree, and what is too small to matter."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.accuracies import Intervals
from stages.statistics.estimates import ALPHA, Estimates, Floats

SEEDS = 3  # with fewer a report speaks of these trainings, not of techniques
POINT = 0.01  # what is within one point of accuracy is not worth a choice


def inflation(estimates: Estimates, difference: Floats) -> Floats:
    """Return by how much the variance from images would be larger (K,) if scaled differences (K,) were true.

    With no answer changed on 200 images, a difference of one point is still possible. Source: Tango, 1998; with a
    design effect for groups and seeds.
    """
    linear = estimates.gained + estimates.lost - (2 - estimates.mean) * difference
    constant = 8 * estimates.lost * difference * (1 - difference)
    lost = (np.sqrt(np.maximum(linear**2 + constant, 0)) + linear) / 4  # the likeliest, given the difference
    return np.asarray(np.maximum(2 * lost + difference * (1 - difference), 1e-12) / estimates.binomial_variance())


def p_values(estimates: Estimates, difference: float = 0.0) -> Floats:
    """Return two-sided p-values (K,) of a true difference of so much, a fraction.

    Of one seed and none it is McNemar's test, with groups as Obuchowski has it, 1998.
    """
    scaled = difference / estimates.scale
    return estimates.p_values_of(estimates.mean - scaled, inflation(estimates, scaled))


def equivalence_p_values(estimates: Estimates, margin: float = POINT) -> Floats:
    """Return the p-values (K,) of a true difference of a margin or more, in either direction.

    Two one-sided tests, each at half the level, so that no difference is claimed where and only where the interval lies
    within the margin. Source: Schuirmann, 1987.
    """
    sides = [
        np.where(np.abs(estimates.mean * estimates.scale) < margin, p_values(estimates, side), 1.0)
        for side in (-margin, margin)
    ]
    return np.maximum(*sides)


def intervals(estimates: Estimates, alpha: float = ALPHA) -> Intervals:
    """Return the differences that are not refuted (K,), unscaled: those whose `p_values` are above alpha.

    Simultaneous for m comparisons with an alpha of 0.05 / m. They never reach beyond what is possible.
    """
    bounds = []
    for side in (-1.0, 1.0):
        near, far = estimates.mean, np.full_like(estimates.mean, side)
        for _ in range(26):
            middle = (near + far) / 2
            possible = np.abs(estimates.mean - middle) < estimates.half_width(alpha, inflation(estimates, middle))
            near, far = np.where(possible, middle, near), np.where(possible, far, middle)
        bounds.append(near * estimates.scale)
    return Intervals(estimates.mean * estimates.scale, bounds[0], bounds[1])


class Verdicts(NamedTuple):
    """What may be said of K differences; (K,) each."""

    gain: Intervals  # hold all together in 95 % of studies
    p_value: Floats  # of no difference, adjusted
    better: NDArray[np.bool_]
    worse: NDArray[np.bool_]
    equal: NDArray[np.bool_]  # within a point, be it surely better or worse
    chance: Floats  # that the difference is above zero, before any adjustment


def judge(estimates: Estimates, others: Floats | None = None, alpha: float = ALPHA) -> tuple[Verdicts, Floats]:
    """Judge K different contrasts together, and `others` (L,), p-values of another kind that stand in the report too.

    Of each contrast two things may be said wrongly: that there is a difference, and that there is none worth a point.
    Both are adjusted together. As they cannot both be wrong of one contrast, at most K are, and the first K claims take
    a p-value of 0.05 / K, not 0.05 / 2 K. Source: Holm, 1979; Shaffer, 1986. The intervals are at that level too, so
    that none without zero stands beside "undecided". The chance is what the one-sided p-value leaves, the confidence
    distribution's share above zero: Xie and Singh, 2013.
    """
    others = np.zeros(0) if others is None else others
    count = len(estimates.mean) + len(others)
    raw = np.concatenate([p_values(estimates), others, equivalence_p_values(estimates)])
    adjusted = holm(raw, count)
    different, rest, same = np.split(adjusted, [len(estimates.mean), count])
    gain = intervals(estimates, alpha / max(1, count))
    equal = same < alpha
    sides = [(different < alpha) & ~equal & (side * gain.mean > 0) for side in (1, -1)]
    against = raw[: len(estimates.mean)] / 2
    chance = np.where(gain.mean > 0, 1 - against, against)
    return Verdicts(gain, different, sides[0], sides[1], equal, chance), rest


def holm(p_values: Floats, most_true: int | None = None) -> Floats:
    """Return p-values (K,) adjusted so that all below a level are right together as often as one would be.

    `most_true` is how many of the hypotheses can be true at once, where logic says so. Source: Holm, 1979; Shaffer,
    1986.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.minimum(len(p_values) - np.arange(len(p_values)), most_true or len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return adjusted
