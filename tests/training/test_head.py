"""Heads on features of a frozen network: they learn in one stroke, and cross-validation tells what they are worth."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from stages.training import head
from stages.training.head import HeadSettings


def gaussians(count: int, classes: int, dimensions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (count, dimensions) as they come out of a ReLU, and their labels."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % classes
    means = np.random.default_rng(9).normal(size=(classes, dimensions))
    return np.abs(means[labels] + rng.normal(size=(count, dimensions))).astype(np.float32), labels


@pytest.mark.parametrize(("count", "classes", "dimensions"), [(20, 2, 300), (400, 20, 64), (3, 3, 10), (5, 3, 4)])
def test_any_number_of_images_gives_a_head_and_the_same_each_time(count, classes, dimensions):
    """One image a class, fewer images than features, or many; where it can be learnt it is."""
    features, labels = gaussians(count, classes, dimensions)
    folds = head.assigned_folds(labels)
    (reached,) = head.cross_validated(features, labels, classes, folds, ((0.5,), (0.5,)))
    first, again = (head.fit(features, labels, classes, reached.settings, reached.scale) for _ in range(2))
    assert first.weight.shape == (classes, dimensions)
    assert np.isfinite(first.weight).all()
    assert np.isfinite(first.bias).all()
    assert np.isfinite(head.log_loss(reached.logits, labels))
    assert (first.weight.tobytes(), first.bias.tobytes()) == (again.weight.tobytes(), again.bias.tobytes())
    if count >= 20:
        assert (first.logits(features).argmax(1) == labels).mean() >= 0.9


@pytest.mark.parametrize("shrinkage", [0.3, 1.0])
def test_it_names_the_classes_that_discriminant_analysis_names(shrinkage):
    """As scikit-learn has it, with the same shrinkage and classes of equal size."""
    features, labels = gaussians(200, 4, 16)
    unseen, _ = gaussians(100, 4, 16, seed=1)
    ours = head.fit(features, labels, 4, HeadSettings(1.0, shrinkage), 1.0).logits(unseen)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[0.25] * 4).fit(features, labels)
    assert (ours.argmax(1) == theirs.predict(unseen)).mean() >= 0.99


@pytest.mark.parametrize("dimensions", [30, 200])
def test_cross_validation_is_the_fit_without_the_fold(dimensions):
    """To the loss of each image, though it costs little more than one fit; with more features than images as well."""
    features, labels = gaussians(100, 4, dimensions)
    folds, settings = head.assigned_folds(labels), HeadSettings(0.5, 0.3)
    (reached,) = head.cross_validated(features, labels, 4, folds, ((0.5,), (0.3,)))
    expected = np.zeros((100, 4))
    for fold in range(head.FOLDS):
        kept, left = folds != fold, folds == fold
        expected[left] = head.fit(features[kept], labels[kept], 4, settings, reached.scale).logits(features[left])
    assert head.log_loss(expected, labels) == pytest.approx(head.log_loss(reached.logits, labels), rel=1e-3)
    assert (expected.argmax(1) == labels).mean() == reached.accuracy


def test_its_probabilities_are_calibrated():
    """On images that it has not seen it is as often right as it says, within a few per cent."""
    features, labels = gaussians(300, 3, 40)
    unseen, truth = gaussians(3000, 3, 40, seed=1)
    (reached,) = head.cross_validated(features, labels, 3, head.assigned_folds(labels), ((0.5,), (0.5,)))
    logits = head.fit(features, labels, 3, reached.settings, reached.scale).logits(unseen).astype(np.float64)
    stated = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).max(1)
    assert stated.mean() == pytest.approx((logits.argmax(1) == truth).mean(), abs=0.04)


def test_what_belongs_together_is_in_one_fold_and_classes_are_spread():
    """An image and its altered copies; another seed, other folds."""
    labels, groups = np.repeat(np.arange(30) % 3, 2), np.repeat(np.arange(30), 2)
    folds = head.assigned_folds(labels, groups)
    assert (folds[::2] == folds[1::2]).all()
    assert {tuple(np.bincount(folds[labels == label])) for label in range(3)} == {(4,) * head.FOLDS}
    assert (folds == head.assigned_folds(labels, groups)).all()
    assert (folds != head.assigned_folds(labels, groups, seed=1)).any()
