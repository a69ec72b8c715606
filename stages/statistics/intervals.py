"""How sure a number is: what other test images, and other seeds, might have said.

Gains (S, N) hold for each of S seeds and N test images what a change gained there, answers (S, N) a 1.0 where a
configuration was right. Images stand in every row and seeds in every column: the design is crossed, so that an error
that an image or a seed has in common is not taken for many.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtrit

from stages.runtime.seeding import stream

RESAMPLES = 2_000
CONFIDENCE = 0.95
NORMAL = float(ndtri((1 + CONFIDENCE) / 2))  # 1.96; scipy.stats has it too, which takes a second to import

Grid = NDArray[np.float64]  # (S, N): a row for each seed, a column for each test image


class Interval(NamedTuple):
    """A mean, and the bounds between which the truth lies in 95 % of all studies."""

    mean: float
    low: float
    high: float


class Spread(NamedTuple):
    """Where the variance of a grid's mean comes from; a single seed cannot say what others would have given."""

    seeds: float  # variance between seeds, of what is common to all images
    images: float  # variance between images, of what is common to all seeds
    both: float  # what is left: an image's answer from one seed
    shape: tuple[int, int]  # seeds and images
    freedom: float  # degrees of freedom of what varies with the seed

    def error(self) -> float:
        """Return the standard error of the mean."""
        seeds, images = self.shape
        of_seeds = max(0.0, self.seeds) if seeds > 1 else 0.0
        return float(np.sqrt(of_seeds / seeds + self.images / images + self.both / images / seeds))

    def half_width(self, doubt: float = 1 - CONFIDENCE) -> float:
        """Return how far the mean may be from the truth, but for so much doubt.

        What varies with the seed is known from few trainings alone, and has Student's t of theirs. Source: Graybill and
        Wang, Confidence intervals on nonnegative linear combinations of variances, 1980.
        """
        seeds, images = self.shape
        of_images = self.images / images * stdtrit(max(1, images - 1), 1 - doubt / 2) ** 2
        if seeds == 1:
            return float(np.sqrt(of_images))
        of_seeds = max(0.0, self.seeds + self.both / images) / seeds
        return float(np.sqrt(of_images + of_seeds * stdtrit(self.freedom, 1 - doubt / 2) ** 2))


def spread(grid: Grid, pseudo: float = 0.0) -> Spread:
    """Return the variance components of a grid (S, N), seeds and images crossed and both random.

    `pseudo` is added to the images' sum of squares. Source: Searle, Casella and McCulloch, Variance components, 1992.
    """
    seeds, images = grid.shape
    mean, by_seed, by_image = grid.mean(), grid.mean(axis=1), grid.mean(axis=0)
    of_images = (((by_image - mean) ** 2).sum() + pseudo) / max(1, images - 1)
    if seeds == 1:
        return Spread(0.0, float(of_images), 0.0, (seeds, images), 0)
    left = max(1, (seeds - 1) * (images - 1))
    both = ((grid - by_seed[:, None] - by_image + mean) ** 2).sum() / left
    of_seeds = ((by_seed - mean) ** 2).sum() / (seeds - 1) - both / images
    # seeds below zero is kept: that much less than the rest would give was between them
    return Spread(float(of_seeds), max(0.0, float(of_images - both / seeds)), float(both), (seeds, images), seeds - 1)


def interval(gains: Grid, sure: Spread | None = None) -> Interval:
    """Return the mean of gains (S, N) with its 95 % interval over test images, and over seeds where there are more.

    The bootstrap over images and seeds, crossed, stretched to the width that Student's t gives: with three seeds a
    bootstrap alone is far too narrow. An image gained and one lost are added in half to each side, so that gains which
    are all zero leave some doubt. Sources: Efron and Tibshirani, 1993; Owen, The pigeonhole bootstrap, 2007; Agresti
    and Min, 2005. The draws are always the same.
    """
    mean, width = float(gains.mean()), 2 * (sure or spread(gains, pseudo=1)).half_width()
    low, high = np.quantile(resampled(gains), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if high == low:
        return Interval(mean, mean - width / 2, mean + width / 2)
    stretch = width / float(high - low)
    return Interval(mean, mean + stretch * (float(low) - mean), mean + stretch * (float(high) - mean))


def resampled(grid: Grid) -> NDArray[np.float64]:
    """Return the means of a grid (S, N) over images and seeds drawn again, of each its own draws."""
    seeds, images = grid.shape
    by_seed = weights("pictures", images) @ grid.T.astype(np.float32)
    return np.asarray((by_seed * weights("seeds", seeds)).sum(axis=1), dtype=np.float64)


@lru_cache(maxsize=4)
def weights(name: str, size: int) -> NDArray[np.float32]:
    """Return for each bootstrap sample the weight of each of so many: how often it was drawn, of all draws."""
    random, drawn = stream(0, "bootstrap", name), np.empty((RESAMPLES, size), np.float32)
    for row in drawn:
        row[:] = np.bincount(random.integers(size, size=size), minlength=size) / size
    return drawn


def accuracy_interval(answers: Grid, sure: Spread | None = None) -> Interval:
    """Return the accuracy of answers (S, N) with Wilson's interval.

    Several seeds: of as many images as would be as sure, had each answer been independent, which is what Korn and
    Graubard, 1998, do with surveys. Source of the interval: Wilson, 1927.
    """
    share, (seeds, images) = float(answers.mean()), answers.shape
    effective, half = float(images), (sure or spread(answers)).half_width()
    if seeds > 1 and half > 0:
        effective = min(seeds * images, share * (1 - share) * (NORMAL / half) ** 2)
    return Interval(share, *wilson(share, effective, NORMAL))


def wilson(share: float, images: float, z: float) -> tuple[float, float]:
    """Return the bounds of a share of images: of those shares from which this one is less than z deviations off."""
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * np.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def p_value(gains: Grid, sure: Spread | None = None) -> float:
    """Return how probable a mean gain as large is, were there none.

    One seed, a pair: the exact McNemar test; else by Student's t, as the interval: the doubt at which it reaches zero.
    """
    if len(gains) == 1 and np.isin(gains, (-1, 0, 1)).all():
        return mcnemar(int((gains < 0).sum()), int((gains > 0).sum()))
    return doubt_of(abs(float(gains.mean())), sure or spread(gains, pseudo=1))


def doubt_of(distance: float, *sure: Spread) -> float:
    """Return the doubt at which a half width, of one mean or of a sum of several, is so far: between 1e-12 and 1."""
    low, high = np.log(1e-12), 0.0
    for _ in range(40):
        middle = (low + high) / 2
        width = np.hypot.reduce([each.half_width(float(np.exp(middle))) for each in sure])
        low, high = (low, middle) if width < distance else (middle, high)
    return float(np.exp(high))


def mcnemar(lost: int, gained: int) -> float:
    """Return the p-value of the exact McNemar test that a change gains as many images as it loses.

    Source: McNemar, 1947; Fagerland et al., 2013.
    """
    # scipy.stats has this as binomtest, which takes a second to import
    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that all those below a level are right together as often as one would be.

    Source: Holm, 1979.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
