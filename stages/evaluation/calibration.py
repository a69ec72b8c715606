"""Whether a network is as often right as it says, and how to make it so.

Source: Guo et al., On calibration of modern neural networks, 2017.
"""

from typing import Any

import numpy as np

from stages.runtime.seeding import stream
from stages.statistics.accuracies import mid_p_interval
from stages.statistics.calibration import BINS, calibration_error
from stages.statistics.estimates import Floats, Integers
from stages.statistics.temperature import Labels, Logits, cross_entropies, scaled_probabilities


def calibration(logits: Logits, labels: Labels, temperature: float, groups: Integers | None = None) -> dict[str, Any]:
    """Return how well probabilities of test images are calibrated, before and after temperature scaling.

    Errors are as `calibration_error` says, each with its mean and its 95 % quantile by chance; losses mean cross
    entropies in nats.
    """
    found: dict[str, Any] = {"temperature": temperature, "reliability": {}}
    for when, prefix, by in (("before", "", 1.0), ("after", "temperature_scaled_", temperature)):
        probabilities = scaled_probabilities(logits, by)
        confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        error = calibration_error(confidence, correct, stream(0, "calibration"), groups)
        found[f"{prefix}calibration_error"] = error.error
        found[f"{prefix}calibration_error_by_chance"] = error.chance
        found[f"{prefix}calibration_error_most_by_chance"] = error.most_by_chance
        found["reliability"][when] = reliability(confidence, correct)
    found["temperature_scaled_loss"] = float(cross_entropies(logits / temperature, labels).mean())
    return found


def reliability(confidence: Floats, correct: Floats) -> list[dict[str, float]]:
    """Return probability (mean), share correct with its 95 % interval, and images of each bin that is not empty."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    rows = []
    for number in np.unique(bins):
        images, right = int((bins == number).sum()), int(correct[bins == number].sum())
        low, high = mid_p_interval(np.array([float(right)]), np.array([float(images)]))
        row = {"stated": float(confidence[bins == number].mean()), "correct": right / images, "images": images}
        rows.append(row | {"low": float(low[0]), "high": float(high[0])})
    return rows
