"""What more images would bring."""

import numpy as np
import pytest
from scipy.special import softmax

from stages.inspection.learning_curve import CurvePoint, Images, learning_curve, predicted, stratified


def nearest_mean(features, labels):
    """A head that names the class of the nearest mean."""
    means = np.stack([features[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return lambda others: softmax(-((others[:, None] - means) ** 2).sum(axis=2), axis=1)


def images(count: int, seed: int) -> Images:
    rng, labels = np.random.default_rng(seed), np.arange(count) % 3
    return Images(rng.normal(size=(count, 12)) + 0.9 * np.eye(3, 12)[labels], labels)


def test_a_curve_has_four_points_and_is_the_same_each_time():
    """An eighth, a quarter, half and all of each class; five draws of parts; more images do better here."""
    curves = [learning_curve(images(240, 0), images(600, 1), nearest_mean, np.random.default_rng(5)) for _ in range(2)]
    assert curves[0] == curves[1]
    points = curves[0].points
    assert [(point.images, len(point.accuracy)) for point in points] == [(30, 5), (60, 5), (120, 5), (240, 1)]
    assert np.mean(points[0].accuracy) < points[-1].accuracy[0]
    assert curves[0].prediction.images == 480
    assert curves[0].prediction.low < curves[0].prediction.accuracy < curves[0].prediction.high
    assert len(curves[0].gains) == 3


def test_the_prediction_holds_what_twice_the_images_bring():
    """In nearly all of 20 trials."""
    held = 0
    for seed in range(20):
        test, more = images(600, 100 + seed), images(320, seed)
        half = Images(more.features[:160], more.labels[:160])
        expected = learning_curve(half, test, nearest_mean, np.random.default_rng(seed)).prediction
        reached = (nearest_mean(*more)(test.features).argmax(axis=1) == test.labels).mean()
        held += expected.low <= reached <= expected.high
    assert held >= 18


def test_too_few_images_of_a_class_give_no_curve():
    """One image a class, whatever the number of classes; nor is there one without test images."""
    few = Images(np.zeros((1000, 4)), np.arange(1000))
    assert learning_curve(few, images(30, 0), nearest_mean, np.random.default_rng(0)) is None
    assert learning_curve(images(30, 0), images(0, 0), nearest_mean, np.random.default_rng(0)) is None


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_all_right_or_all_wrong_is_a_curve_as_well(accuracy):
    """The interval stays within 0 and 1."""
    points = [CurvePoint(10 * 2**step, [accuracy] * (5 if step < 3 else 1)) for step in range(4)]
    found = predicted(points, 40)
    assert 0 <= found.low <= found.accuracy <= found.high <= 1
    assert found.accuracy == pytest.approx(accuracy, abs=0.02)


def test_parts_hold_each_class():
    """A share of each, at least one image, in order."""
    labels = np.array([0] * 8 + [1] * 4 + [2])
    rows = stratified(labels, 0.25, np.random.default_rng(0))
    assert np.bincount(labels[rows]).tolist() == [2, 1, 1]
    assert rows.tolist() == sorted(rows.tolist())
