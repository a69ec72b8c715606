"""Whether a network is as often right as it says, and how to make it so.

Source: Guo et al., On calibration of modern neural networks, 2017.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.statistics.temperature import Labels, Logits, best_temperature, cross_entropies, scaled_probabilities

BINS = 15
REJECTED = 0.05  # of the images that are named correctly: what "none of these" may cost


def calibration(validation: tuple[Logits, Labels], test: tuple[Logits, Labels]) -> dict[str, Any]:
    """Return how well the test images' probabilities are calibrated, before and after temperature scaling.

    The temperature is fitted on validation, and so is the threshold of "none of these". Errors are as
    `calibration_error` says, losses mean cross entropies in nats.
    """
    temperature = best_temperature(*validation)
    logits, labels = test
    scaled = scaled_probabilities(logits, temperature)
    stated = scaled_probabilities(logits, 1.0)
    return {
        "calibration_error": calibration_error(stated, labels),
        "temperature": temperature,
        "temperature_scaled_calibration_error": calibration_error(scaled, labels),
        "temperature_scaled_loss": float(cross_entropies(logits / temperature, labels).mean()),
        "none_of_these_below": rejection_threshold(scaled_probabilities(validation[0], temperature), validation[1]),
        "reliability": {"before": reliability(stated, labels), "after": reliability(scaled, labels)},
    }


def rejection_threshold(probabilities: NDArray[np.float64], labels: Labels) -> float:
    """Return the probability below which an image is better taken for none of the classes; 0 where nothing tells.

    All but one in twenty of the validation images (N, classes) that are named correctly lie at or above it.
    """
    confidence = probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels]
    return float(np.quantile(confidence, REJECTED, method="lower")) if len(confidence) else 0.0


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
