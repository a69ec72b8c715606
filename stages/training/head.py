"""Linear classification heads on features of a frozen network: linear discriminant analysis with a shrunk covariance.

The classes are taken for Gaussians with one covariance, S = (1 - shrinkage) * W + shrinkage * trace(W)/features * I, W
being the pooled covariance within the classes; features go through a signed power before. What a head needs of the data
is additive (counts, sums, products), so cross-validation costs little more than one fit. Sources: Friedman, Regularized
discriminant analysis, 1989; Ledoit and Wolf, Honey, I shrunk the sample covariance matrix, 2004; Perronnin et al.,
Improving the Fisher kernel (power normalisation), 2010; Guo et al., On calibration of modern neural networks, 2017.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from stages.statistics.whitening import Floats, raised_to_power

Labels = NDArray[np.int64]

FOLDS = 5
LOGIT_DEVIATION = 5.0  # the usual standard deviation of calibrated logits: what temperature 1 stands for
PRIOR_DEVIATION = 0.5  # of the logarithm of the temperature around 0


class HeadSettings(NamedTuple):
    """What is chosen by cross-validation."""

    power: float = 0.5
    shrinkage: float = 0.5


class Head(NamedTuple):
    """A linear layer: logits (n, classes) = raised_to_power(features, power) @ weight.T + bias."""

    weight: NDArray[np.float32]  # (classes, features)
    bias: NDArray[np.float32]  # (classes,)
    power: float

    def logits(self, features: Floats) -> NDArray[np.float32]:
        """Return logits (n, classes) of features (n, features)."""
        return np.asarray(raised_to_power(features, self.power).astype(np.float32) @ self.weight.T + self.bias)


class CrossValidation(NamedTuple):
    """What settings reach on images that had no part in the fit."""

    settings: HeadSettings
    logits: NDArray[np.float64]  # (n, classes), calibrated
    accuracy: float
    scale: float  # by which the discriminants are multiplied to become calibrated logits


class _Moments(NamedTuple):
    counts: NDArray[np.float64]  # (classes,)
    sums: NDArray[np.float64]  # (classes, features)
    products: NDArray[np.float64]  # (features, features)


def fit(features: Floats, labels: Labels, classes: int, settings: HeadSettings, scale: float) -> Head:
    """Return the head for features (n, features) and labels (n,); a cross-validated `scale` calibrates logits."""
    x = raised_to_power(features, settings.power)
    centre = x.mean(axis=0)
    sums = _moments(x - centre, labels, classes)
    weight, bias = _discriminants(sums, settings.shrinkage, x.shape[1])
    weight, bias = scale * weight, scale * (bias - weight @ centre) + _log_prior(sums.counts)
    return Head(weight.astype(np.float32), bias.astype(np.float32), settings.power)


def cross_validated(
    features: Floats,
    labels: Labels,
    classes: int,
    folds: NDArray[np.int64],
    grid: tuple[tuple[float, ...], tuple[float, ...]],
) -> list[CrossValidation]:
    """Return what each setting of the grid reaches out of fold, in the grid's order."""
    powers, shrinkages = grid
    scores = {each: np.zeros((len(labels), classes)) for each in product(powers, shrinkages)}
    prior = np.zeros((len(labels), classes))
    for power in powers:
        x = raised_to_power(features, power)
        x -= x.mean(axis=0)
        if len(x) < features.shape[1]:  # rotated into as many dimensions as there are rows, which changes no score
            x = np.asarray(np.linalg.qr(x.T, mode="r")).T
        parts = {fold: _moments(x[folds == fold], labels[folds == fold], classes) for fold in np.unique(folds)}
        whole = _Moments(*(np.sum(each, axis=0) for each in zip(*parts.values(), strict=True)))
        for fold, part in parts.items():
            rest = _Moments(*(a - b for a, b in zip(whole, part, strict=True)))
            prior[folds == fold] = _log_prior(rest.counts)
            for shrinkage in shrinkages:
                weight, bias = _discriminants(rest, shrinkage, features.shape[1])
                scores[power, shrinkage][folds == fold] = x[folds == fold] @ weight.T + bias
    return [_cross_validation(HeadSettings(*each), scores[each], prior, labels) for each in scores]


def assigned_folds(labels: Labels, groups: Labels | None = None, count: int = FOLDS, seed: int = 0) -> Labels:
    """Return a fold (n,) for each row: classes spread evenly, rows of one group (n,) together."""
    groups = np.arange(len(labels)) if groups is None else groups
    names, first, where = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(labels[first][order], kind="stable")]  # class after class, shuffled within each
    fold = np.empty(len(names), np.int64)
    fold[order] = np.arange(len(names)) % min(count, len(names))
    return np.asarray(fold[where])


def best_scale(scores: NDArray[np.float64], prior: NDArray[np.float64], labels: Labels, penalty: float) -> float:
    """Return s with the lowest mean log loss of s * scores (n, classes) + prior plus penalty * log(temperature) ** 2.

    Temperature 1 is the scale at which scores, centred within each row, have the standard deviation LOGIT_DEVIATION.
    """
    deviation = float((scores - scores.mean(axis=1, keepdims=True)).std()) or 1.0

    def loss(log_t: float) -> float:
        return log_loss(scores * (LOGIT_DEVIATION / deviation * np.exp(-log_t)) + prior, labels) + penalty * log_t**2

    return float(LOGIT_DEVIATION / deviation * np.exp(-minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def log_loss(logits: NDArray[np.float64], labels: Labels) -> float:
    """Return the mean log loss in nats of logits (n, classes) and labels (n,)."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def _cross_validation(
    settings: HeadSettings, scores: NDArray[np.float64], prior: NDArray[np.float64], labels: Labels
) -> CrossValidation:
    scale = best_scale(scores, prior, labels, 1 / (2 * PRIOR_DEVIATION**2 * len(labels)))
    logits = scale * scores + prior
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    return CrossValidation(settings, logits, accuracy, scale)


def _moments(x: NDArray[np.float64], labels: Labels, classes: int) -> _Moments:
    one_hot = np.eye(classes)[labels]
    return _Moments(one_hot.sum(axis=0), one_hot.T @ x, x.T @ x)


def _discriminants(data: _Moments, shrinkage: float, features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    means = data.sums / np.maximum(data.counts, 1)[:, None]
    within = data.products - (data.sums.T @ means)
    within /= max(data.counts.sum() - np.count_nonzero(data.counts), 1)
    variance = np.trace(within) / features
    if variance * features <= 1e-9 * np.trace(data.products):  # one image a class: the nearest mean
        within, variance, shrinkage = np.zeros_like(within), 1.0, 1.0
    covariance = (1 - shrinkage) * within
    covariance[np.diag_indices_from(covariance)] += shrinkage * variance
    weight = np.linalg.solve(covariance, means.T).T
    return np.asarray(weight, np.float64), np.asarray(-0.5 * (means * weight).sum(axis=1), np.float64)


def _log_prior(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log((counts + 1) / (counts.sum() + len(counts))))
