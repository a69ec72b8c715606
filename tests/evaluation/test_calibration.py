"""Calibration: is a network as often right as it says?"""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from stages.evaluation.calibration import calibration, calibration_error, reliability
from stages.statistics.temperature import best_temperature, scaled_probabilities
from tests.statistics.test_temperature import world


def test_an_error_worked_by_hand():
    """0.90 and 0.92 share a bin, once right: 0.82 too sure; twice 0.62, both right: 0.76 too modest; of 4 images."""
    confidence = np.array([0.90, 0.92, 0.62, 0.62])
    probabilities = np.stack([confidence, 1 - confidence], 1)
    assert calibration_error(probabilities, np.array([0, 1, 0, 0])) == pytest.approx((0.82 + 0.76) / 4)


def test_certainty_is_no_error_if_it_is_right():
    """And the largest there is if it is wrong; it shares the last bin: 1 wrong and 0.96 right are 0.96 too sure."""
    probabilities = np.eye(3)
    assert calibration_error(probabilities, np.array([0, 1, 2])) == 0
    assert calibration_error(probabilities, np.array([1, 2, 0])) == 1
    assert calibration_error(np.array([[1, 0], [0.96, 0.04]]), np.array([1, 0])) == pytest.approx(0.96 / 2)


@pytest.mark.parametrize("truth", [0.5, 1, 3])
def test_the_error_is_that_of_the_calibration_curve(truth):
    """Of scikit-learn, over 15 bins of equal width, each with the weight of its images."""
    logits, labels = world(2000, truth)
    probabilities = scaled_probabilities(logits, 1)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    accuracies, stated = calibration_curve(right, confidence, n_bins=15)
    counts = np.histogram(confidence, 15, (0, 1))[0]
    expected = np.abs(accuracies - stated) @ counts[counts > 0] / 2000
    assert calibration_error(probabilities, labels) == pytest.approx(expected)


def test_a_network_that_is_too_sure_is_put_right():
    """At the temperature of other images the error of these all but vanishes and the loss falls; worked by hand."""
    temperature = best_temperature(*world(4000, 4, seed=1))
    logits, labels = world(4000, 4, seed=2)
    result = calibration(logits, labels, temperature)
    assert result["temperature"] == temperature == pytest.approx(4, rel=0.1)
    assert result["calibration_error"] > 0.2
    assert result["temperature_scaled_calibration_error"] < 0.04
    powers = np.exp(logits / temperature)
    assert result["temperature_scaled_loss"] == pytest.approx(log_loss(labels, powers / powers.sum(1, keepdims=True)))
    assert result["temperature_scaled_loss"] < log_loss(labels, scaled_probabilities(logits, 1))


def test_a_wrong_answer_of_a_network_that_seemed_perfect_has_a_finite_loss():
    """All right on validation, so the temperature is low; it multiplies the 100 nats of a wrong answer."""
    temperature = best_temperature(np.array([[5.0, 0.0], [0.0, 5.0]]), np.array([0, 1]))
    result = calibration(np.array([[100.0, 0.0]]), np.array([1]), temperature)
    assert result["temperature_scaled_loss"] == pytest.approx(100 / temperature)


def test_reliability_is_the_table_that_the_error_sums_up():
    """Mean probability against the share that is correct, weighed by images."""
    logits, labels = world(3000, 2)
    probabilities = scaled_probabilities(logits, 1)
    table = reliability(probabilities, labels)
    assert sum(row["images"] for row in table) == 3000
    gaps = sum(abs(row["stated"] - row["correct"]) * row["images"] for row in table)
    assert gaps / 3000 == pytest.approx(calibration_error(probabilities, labels))
    assert [row["stated"] for row in table] == sorted(row["stated"] for row in table)
