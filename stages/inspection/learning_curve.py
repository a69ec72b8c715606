"""Would more photographs help? How well a head does that learned from parts of them, and from twice as many.

The error is taken to fall by a power of the number of images. It does so ever more slowly where part of it cannot be
learned away, so that the next doubling is taken to bring a share of what the curve says, and the interval holds both
none of it and all. Source: Hestness et al., Deep learning scaling is predictable, empirically, 2017.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.whitening import Floats

SHARES = (0.125, 0.25, 0.5)  # of the training images, beside all
DRAWS = 5  # of each share
NORMAL = 1.96  # standard deviations that hold 95 %
FEWEST_IMAGES = 4  # of a class in the median, from which on halves and quarters of it mean anything
GOES_ON, MAY_VARY = 0.75, 0.25  # share of a doubling's gain that the next one brings, and its standard deviation

Head = Callable[[Floats], NDArray[np.float64]]  # probabilities (n, classes) of features (n, d)
Fit = Callable[[Floats, NDArray[np.int64]], Head]


class CurvePoint(NamedTuple):
    """What was reached with so many images, a number for each draw."""

    images: int
    accuracy: list[float]


class Prediction(NamedTuple):
    """The accuracy to expect with twice the images, and its interval of 95 %."""

    images: int
    accuracy: float
    low: float
    high: float


class Curve(NamedTuple):
    """Points by number of images, what twice as many would bring, and what the second half has brought each class."""

    points: list[CurvePoint]
    prediction: Prediction
    gains: list[float]  # of each class, in the mean probability of the actual class


class Images(NamedTuple):
    """Features (n, d) and labels (n,)."""

    features: Floats
    labels: NDArray[np.int64]


def learning_curve(training: Images, test: Images, fit: Fit, rng: np.random.Generator) -> Curve | None:
    """Return how a head does on test images by the number of its training images; None where these are too few.

    Parts are drawn class by class, at least one image of each.
    """
    counts = np.bincount(training.labels)
    if not enough(training.labels) or not len(test.labels):
        return None
    points, actual = [], np.arange(len(test.labels))
    halves = np.zeros(len(test.labels))
    for share in (*SHARES, 1.0):
        rights = []
        for _ in range(DRAWS if share < 1 else 1):
            rows = stratified(training.labels, share, rng)
            found = fit(training.features[rows], training.labels[rows])(test.features)
            rights.append(float((found.argmax(axis=1) == test.labels).mean()))
            if share == SHARES[-1]:
                halves += found[actual, test.labels] / DRAWS
        points.append(CurvePoint(len(rows), rights))
    whole = found[actual, test.labels]
    gains = [
        float((whole - halves)[test.labels == label].mean()) if (test.labels == label).any() else 0.0
        for label in range(len(counts))
    ]
    return Curve(points, predicted(points, len(test.labels)), gains)


def enough(labels: NDArray[np.int64]) -> bool:
    """Say whether halves and quarters of the images with these labels mean anything."""
    counts = np.bincount(labels)
    return bool(np.median(counts[counts > 0]) >= FEWEST_IMAGES)


def stratified(labels: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return rows in order, drawn at random: a share of each class, at least one image."""
    chosen = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(rows[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(chosen))


def predicted(points: list[CurvePoint], test_images: int) -> Prediction:
    """Return what twice the images of the last point would bring, from the points' errors on so many test images."""
    images = np.array([point.images for point in points], np.float64)
    wrong = [test_images * (1 - np.mean(point.accuracy)) for point in points]
    logs = np.log((np.array(wrong) + 0.5) / (test_images + 1))
    deviations = [np.std(point.accuracy, ddof=1) / np.exp(log) for point, log in zip(points[:-1], logs, strict=False)]
    pooled = float(np.mean(np.square(deviations)))  # of the logarithm of the error, between draws
    variances = np.array([*(pooled / len(point.accuracy) for point in points[:-1]), pooled / 2]) + 1e-9
    design = np.stack([np.ones(len(images)), np.log2(images / images[-1])], axis=1)
    covariance = np.linalg.inv(design.T @ (design / variances[:, None]))
    level, slope = covariance @ design.T @ (logs / variances)
    misfit = float(((logs - design @ [level, slope]) ** 2 / variances).sum() / (len(images) - 2))
    ahead = np.array([1.0, GOES_ON])
    variance = ahead @ covariance @ ahead * max(1.0, misfit) + (MAY_VARY * slope) ** 2 + pooled / 2
    middle, width = level + GOES_ON * slope, NORMAL * np.sqrt(variance)
    low, accuracy, high = (float(1 - min(1.0, np.exp(log))) for log in (middle + width, middle, middle - width))
    return Prediction(2 * points[-1].images, accuracy, low, high)
