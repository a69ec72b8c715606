"""Calibration: is a network as often right as it says?"""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from stages.evaluation.calibration import calibration, reliability
from stages.statistics.calibration import binned_errors
from stages.statistics.temperature import best_temperature, scaled_probabilities
from tests.statistics.test_temperature import world


def error_of(confidence, correct) -> float:
    """Return the calibration error of an answer for each image."""
    return binned_errors(np.array(confidence, float), np.array(correct, bool)[None])[0]


def test_an_error_worked_by_hand():
    """0.90 and 0.92 share a bin, once right: 0.82 too sure; twice 0.62, both right: 0.76 too modest; of 4 images."""
    assert error_of([0.90, 0.92, 0.62, 0.62], [1, 0, 1, 1]) == pytest.approx((0.82 + 0.76) / 4)
    assert error_of([1, 1, 1], [1, 1, 1]) == 0
    assert error_of([1, 0.96], [0, 1]) == pytest.approx(0.96 / 2)  # both are of the last bin


@pytest.mark.parametrize("truth", [0.5, 1, 3])
def test_the_error_is_that_of_the_calibration_curve(truth):
    """Of scikit-learn, over 15 bins of equal width, each with the weight of its images; the table sums up to it."""
    logits, labels = world(2000, truth)
    probabilities = scaled_probabilities(logits, 1)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    accuracies, stated = calibration_curve(correct, confidence, n_bins=15)
    counts = np.histogram(confidence, 15, (0, 1))[0]
    expected = np.abs(accuracies - stated) @ counts[counts > 0] / 2000
    assert error_of(confidence, correct) == pytest.approx(expected)
    table = reliability(confidence, correct)
    assert sum(abs(row["stated"] - row["correct"]) * row["images"] for row in table) / 2000 == pytest.approx(expected)
    assert all(row["low"] <= row["correct"] <= row["high"] for row in table)


def test_a_network_that_is_too_sure_is_put_right():
    """On test images the error falls to what chance shows, and the loss falls; probabilities worked by hand."""
    logits, labels = world(4000, 4, seed=2)
    result = calibration(logits, labels, best_temperature(*world(4000, 4, seed=1)))
    assert result["temperature"] == pytest.approx(4, rel=0.1)
    assert result["calibration_error"] > 0.2 > 5 * result["calibration_error_most_by_chance"]
    assert result["temperature_scaled_calibration_error"] < 0.04
    powers = np.exp(logits / result["temperature"])
    assert result["temperature_scaled_loss"] == pytest.approx(log_loss(labels, powers / powers.sum(1, keepdims=True)))
    assert result["temperature_scaled_loss"] < log_loss(labels, scaled_probabilities(logits, 1))


def test_a_wrong_answer_of_a_network_that_seemed_perfect_has_a_finite_loss():
    """Its temperature multiplies or divides the 100 nats of a wrong answer."""
    result = calibration(np.array([[100.0, 0.0]]), np.array([1]), 0.5)
    assert result["temperature_scaled_loss"] == pytest.approx(200)
