"""What a study can decide: the power of a test, the images and seeds for a gain, and the smallest gain for images."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from stages.statistics.estimates import ALPHA, PSEUDO_IMAGES, Estimates, Floats

POWER = 0.8
MOST_IMAGES = 100_000  # no study of this kind has more


def power(estimates: Estimates, gain: Floats, images: Floats, seeds: int, alpha: float = ALPHA) -> Floats:
    """Return how probable it is (K,) that a true gain (K,), a fraction, is found with so many images (K,) and seeds.

    `alpha` is 0.05 divided by the number of contrasts that are tested together. Variances are those of
    `estimates`; images come in groups as there. Of one seed the variance between seeds is not known: it is taken for
    none. Source: Connor, 1987 (the variance with a gain and without); Student's t of so many seeds.
    """
    size = np.asarray(gain, np.float64) / estimates.scale
    more, trainings = estimates.images / images, estimates.seeds / seeds
    changed = np.maximum(estimates.gained + estimates.lost + PSEUDO_IMAGES / estimates.images, size)
    # of outcomes that a pair has in common as many are changed as a gain needs
    grown = (changed - size**2) / estimates.binomial_variance()
    seeds_variance = (
        np.maximum(estimates.seeds_variance - estimates.residual_variance, 0) * trainings
        + estimates.residual_variance * more * trainings
    )
    images_variance = (
        (np.maximum(estimates.images_variance - estimates.residual_variance, 0) + estimates.pseudo_variance())
        * more
        * grown
    )
    variance = images_variance + seeds_variance
    new_images_df = np.where(
        np.isinf(estimates.images_degrees_of_freedom), np.inf, (estimates.images_degrees_of_freedom + 1) / more - 1
    )
    new_seeds_df = (
        estimates.seeds_degrees_of_freedom * (seeds - 1) / max(1, estimates.seeds - 1)
        if seeds > 1
        else np.ones_like(size)
    )
    then = estimates._replace(
        images_variance=images_variance,
        seeds_variance=seeds_variance,
        residual_variance=np.zeros_like(size),
        images=np.inf,
        images_degrees_of_freedom=np.maximum(new_images_df, 1),
        seeds_degrees_of_freedom=new_seeds_df,
    )
    null = then._replace(images_variance=images_variance * changed / (changed - size**2))
    critical = null.half_width(alpha) / np.sqrt(variance)
    degrees_of_freedom = variance**2 / (
        images_variance**2 / then.images_degrees_of_freedom + seeds_variance**2 / then.seeds_degrees_of_freedom + 1e-300
    )
    # noncentral t, close enough and never not a number: Abramowitz and Stegun, 1964, 26.7.10
    apart = size / np.sqrt(variance) - critical * (1 - 1 / (4 * degrees_of_freedom))
    return np.asarray(ndtr(apart / np.sqrt(1 + critical**2 / (2 * degrees_of_freedom))))


def images_needed(estimates: Estimates, gain: float, seeds: int, alpha: float = ALPHA) -> Floats:
    """Return the images (K,) that find a true gain four times out of five with so many seeds; inf where 100,000 do not.

    Infinite means that it takes more seeds: images do not tell a technique from differences between its trainings.
    """
    gains = np.full(len(estimates.mean), gain)
    found = _smallest(lambda images: power(estimates, gains, images, seeds, alpha) >= POWER, 5.0, MOST_IMAGES, gains)
    return np.asarray(np.ceil(found))


def seeds_needed(estimates: Estimates, gain: float, images: float, alpha: float = ALPHA) -> int | None:
    """Return the least seeds, 3 to 30, that find a true gain on so many images in every contrast, None if none do."""
    size = len(estimates.mean)
    for seeds in range(3, 31):
        if (power(estimates, np.full(size, gain), np.full(size, images), seeds, alpha) >= POWER).all():
            return seeds
    return None


def smallest_gain(estimates: Estimates, images: float, seeds: int, alpha: float = ALPHA) -> Floats:
    """Return the smallest true gain (K,), that so many images and seeds detect four times out of five; or inf."""
    of = np.full(len(estimates.mean), float(images))
    return _smallest(lambda gain: power(estimates, gain, of, seeds, alpha) >= POWER, 1e-4, 0.99, of)


def _smallest(enough: Callable[[Floats], NDArray[np.bool_]], least: float, most: float, like: Floats) -> Floats:
    """Return the smallest values (K,) between two for which all larger ones are enough, inf where the most is not."""
    low, high = np.full_like(like, least), np.full_like(like, most)
    possible = enough(high)
    for _ in range(40):
        middle = np.sqrt(low * high)
        reached = enough(middle)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return np.asarray(np.where(possible, high, np.inf))
