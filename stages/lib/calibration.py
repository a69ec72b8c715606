"""Whether a network is as often right as it says, and how to make it so.

Source: Guo et al., On calibration of modern neural networks, 2017.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
TEMPERATURES = (0.05, 20.0)  # between which one is looked for

Logits = NDArray[np.float64]
Labels = NDArray[np.int64]


def calibration(validation: tuple[Logits, Labels], test: tuple[Logits, Labels]) -> dict[str, float]:
    """Return how well the test pictures' probabilities are calibrated, before and after temperature scaling.

    The temperature is fitted on validation. Errors are as `calibration_error` says, losses mean cross entropies in
    nats.
    """
    temperature = best_temperature(*validation)
    logits, labels = test
    scaled = at_temperature(logits, temperature)
    return {
        "calibration_error": calibration_error(at_temperature(logits, 1.0), labels),
        "temperature": temperature,
        "scaled_calibration_error": calibration_error(scaled, labels),
        "scaled_loss": cross_entropy(logits / temperature, labels),
    }


def calibration_error(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Return the expected calibration error, 0 to 1, of probabilities (N, classes) for true labels (N,).

    Pictures are put into 15 bins of equal width by the probability of the class that was named; the error is the mean
    over pictures of how far the accuracy of a bin is from its mean probability.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, right - confidence, BINS)  # of each bin: right answers less expected ones
    return float(np.abs(gaps).sum() / len(labels))


def best_temperature(logits: Logits, labels: Labels) -> float:
    """Return the number by which to divide logits (N, classes) so that their cross entropy with labels is lowest.

    Above 1 the network was too sure of itself. To be found on validation pictures, never on test pictures.
    """

    def loss(log_temperature: float) -> float:
        return cross_entropy(logits / np.exp(log_temperature), labels)

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Return the mean cross entropy in nats; never infinite, however sure and wrong a network is."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def at_temperature(logits: Logits, temperature: float) -> NDArray[np.float64]:
    """Return the probabilities (N, classes) that logits stand for when divided by a temperature."""
    return np.asarray(softmax(logits / temperature, axis=1))
