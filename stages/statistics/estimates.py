"""Means over seeds and images with their variance: seeds crossed with images, the group of images the unit.

One data model for the whole room: `correct` (configurations C, seeds S, images N) is 1 where a training from a seed
predicted an image correctly; `groups` (N,) are whole numbers, equal for images that belong together (a burst, one
animal, near copies), or None where each image stands for itself; `contrasts` (K, C) weigh configurations. A row with a
single 1 is an accuracy, one with 1 and -1 a difference. With one seed all that is said holds for these very trainings.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

ALPHA = 0.05  # 1 - confidence
PSEUDO_IMAGES = 0.5  # images added, so that outcomes which all agree leave some doubt

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Estimates(NamedTuple):
    """Means of K contrasts, and where their variance comes from; of a contrast divided by its `scale`.

    Each is (K,) but those that count. Seeds and images are crossed, both random. Source: Searle, Casella and McCulloch,
    Variance components, 1992; each configuration's own variance between seeds with Satterthwaite's degrees of freedom:
    Welch, 1947; groups: Field and Welsh, 2007; Cameron and Miller, 2015.
    """

    scale: Floats  # so that no answer adds more than 1: 1 for an accuracy or a pair
    mean: Floats
    gained: Floats  # share of outcomes for which the contrast is above zero, each as much as it is: 0 to 1
    lost: Floats  # and below zero; mean = gained - lost
    images_variance: Floats  # variance of the mean from images, with what is left counted below
    seeds_variance: Floats  # from seeds, and what is left: a training's own answer to an image
    residual_variance: Floats  # what is left, which stands in both
    images_degrees_of_freedom: Floats  # degrees of freedom
    seeds_degrees_of_freedom: Floats
    seeds: int
    images: float  # of equal weight, that would give as small a variance
    groups: float

    def pseudo_variance(self) -> float:
        """Return the variance that is added, so that outcomes which all agree leave some doubt."""
        return PSEUDO_IMAGES / (self.images * self.groups)

    def variance_components(self) -> tuple[Floats, Floats]:
        """Return what of the variance has the degrees of freedom of images, and what those of seeds: (K,) each."""
        return np.maximum(
            self.images_variance - self.residual_variance, 0
        ) + self.pseudo_variance(), self.seeds_variance

    def binomial_variance(self) -> Floats:
        """Return the variance (K,) of a single answer, were images all there is."""
        return self.gained + self.lost - self.mean**2 + PSEUDO_IMAGES / self.images

    def half_width(self, alpha: Floats | float = ALPHA, inflation: Floats | float = 1.0) -> Floats:
        """Return how far (K,) the truth may be from the scaled mean, with a confidence of 1 - alpha.

        Each source of variance has its own Student's t, which counts as much as the source has of the variance: Cochran
        and Cox, Experimental designs, 1950. Unlike one number of degrees of freedom for both it holds at the small
        levels of many comparisons, also where seeds by chance seem not to matter. `inflation` (K,) is of the variance
        from images.
        """
        images_variance, seeds_variance = self.variance_components()
        images_variance = images_variance * inflation
        alpha = np.asarray(alpha) / 2
        quantiles = images_variance * stdtrit(self.images_degrees_of_freedom, alpha) + seeds_variance * stdtrit(
            self.seeds_degrees_of_freedom, alpha
        )
        return np.asarray(-quantiles / np.sqrt(images_variance + seeds_variance))

    def p_values_of(self, distance: Floats, inflation: Floats | float = 1.0) -> Floats:
        """Return the two-sided p-value (K,) of a scaled distance from the mean: the alpha of such a half width."""
        low, high = np.full_like(self.mean, np.log(1e-15)), np.zeros_like(self.mean)
        for _ in range(32):
            middle = (low + high) / 2
            wider = self.half_width(np.exp(middle), inflation) > np.abs(distance)
            low, high = np.where(wider, middle, low), np.where(wider, high, middle)
        return np.asarray(np.exp(high))

    def rows(self, chosen: Any) -> "Estimates":
        """Return the estimates of some of the contrasts."""
        return self._replace(
            **{name: value[chosen] for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        )


def estimate(
    correct: NDArray[Any], contrasts: Floats, groups: Integers | None = None, weights: Floats | None = None
) -> Estimates:
    """Return the estimates of contrasts (K, C) of outcomes `correct` (C, S, N), by groups (N,).

    `weights` (N,) weighs images, e.g. so that classes count alike; without it all count alike. A contrast must not
    be all zero: that is the same run twice (`contrasts.merged_runs` tells).
    """
    outcomes = np.asarray(correct, np.float64)
    _, seeds, images = outcomes.shape
    share = np.full(images, 1 / images) if weights is None else weights / weights.sum()
    scale = np.maximum(contrasts.clip(min=0).sum(axis=1), -contrasts.clip(max=0).sum(axis=1))
    unit = contrasts / scale[:, None]
    by_seed = outcomes @ share  # (C, S)
    sums = group_sums((outcomes - by_seed[..., None]) * share, groups)  # (C, S, G)
    units = sums.shape[-1]
    mean = unit @ by_seed.mean(axis=1)
    gained = (np.einsum("kc,csn->ksn", unit, outcomes).clip(min=0) @ share).mean(axis=1)
    # one training's outcomes to single images have the binomial's own variance, as McNemar and Wilson have it
    simple = (seeds == 1) & (units == images) & (np.count_nonzero(unit, axis=1) <= 2)
    correction = np.where(simple, 1.0, units / max(1, units - 1))
    residual_variance = seeds_variance = np.zeros(len(unit))
    degrees_of_freedom = np.ones(len(unit))
    if seeds > 1:
        residual_variance = correction * (unit**2 @ sums.var(axis=1, ddof=1).sum(axis=1)) / seeds
        each = unit**2 * by_seed.var(axis=1, ddof=1) / seeds
        seeds_variance = each.sum(axis=1)
        runs = np.maximum(1, seeds_variance**2 / np.maximum((each**2).sum(axis=1), 1e-300))
        # Welch's are too many where a run that varies most by chance varied little: half way to a single run's
        degrees_of_freedom = (seeds - 1) * (1 + runs) / 2
    return Estimates(
        scale, mean, gained, gained - mean,
        correction * ((unit @ sums.mean(axis=1)) ** 2).sum(axis=1), seeds_variance, residual_variance,
        np.where(simple, np.inf, max(1, units - 1)), degrees_of_freedom,
        seeds, float(1 / (share**2).sum()), float(1 / (group_sums(share, groups) ** 2).sum()),
    )  # fmt: skip


def group_sums(values: Floats, groups: Integers | None) -> Floats:
    """Return the sums of values (..., N) over each group: (..., G)."""
    if groups is None:
        return values
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][:1] - 1))
    return np.asarray(np.add.reduceat(values[..., order], starts, axis=-1))
