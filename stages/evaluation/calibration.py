"""Whether a network is as often right as it says, and how to make it so.

Source: Guo et al., On calibration of modern neural networks, 2017.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.statistics.temperature import Labels, Logits, cross_entropies, scaled_probabilities

BINS = 15


def calibration(logits: Logits, labels: Labels, temperature: float) -> dict[str, Any]:
    """Return how well probabilities of test images are calibrated, before and after temperature scaling.

    Errors are as `calibration_error` says, losses mean cross entropies in nats.
    """
    scaled = scaled_probabilities(logits, temperature)
    stated = scaled_probabilities(logits, 1.0)
    return {
        "calibration_error": calibration_error(stated, labels),
        "temperature": temperature,
        "temperature_scaled_calibration_error": calibration_error(scaled, labels),
        "temperature_scaled_loss": float(cross_entropies(logits / temperature, labels).mean()),
        "reliability": {"before": reliability(stated, labels), "after": reliability(scaled, labels)},
    }


def reliability(probabilities: NDArray[np.float64], labels: Labels) -> list[dict[str, float]]:
    """Return probability (mean), share correct and images of each bin of `calibration_error` that is not empty."""
    confidence, bins = _binned(probabilities)
    correct = probabilities.argmax(axis=1) == labels
    return [
        {
            "stated": float(confidence[bins == number].mean()),
            "correct": float(correct[bins == number].mean()),
            "images": int((bins == number).sum()),
        }
        for number in np.unique(bins)
    ]


def calibration_error(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Return the expected calibration error, 0 to 1, of probabilities (N, classes) for true labels (N,).

    Images are put into 15 bins of equal width by the probability of the class that was named; the error is the mean
    over images of how far the accuracy of a bin is from its mean probability.
    """
    confidence, bins = _binned(probabilities)
    correct = probabilities.argmax(axis=1) == labels
    gaps = np.bincount(bins, correct - confidence, BINS)  # of each bin: correct answers less expected ones
    return float(np.abs(gaps).sum() / len(labels))


def _binned(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the probability (N,) of each class that was named, and its bin (N,)."""
    confidence = probabilities.max(axis=1)
    return confidence, np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
