"""Whether stated probabilities can be believed, beside what chance alone would show."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.estimates import Floats, Integers

BINS = 15
DRAWS = 1_000
FEWEST_DRAWS, MOST_NUMBERS = 100, 10_000_000  # of many images fewer samples are drawn, so that they fit into memory


class CalibrationError(NamedTuple):
    """The expected calibration error, 0 to 1, and what a network whose every probability is true would show."""

    error: float
    chance: float  # on average, with as many images
    most_by_chance: float  # in 95 % of cases


def calibration_error(
    confidence: Floats, correct: NDArray[np.bool_], random: np.random.Generator, groups: Integers | None = None,
    draws: int = DRAWS,
) -> CalibrationError:  # fmt: skip
    """Return the calibration error of stated probabilities (N,) and whether each answer was correct (N,), by 15 bins.

    Its chance level draws outcomes from the stated probabilities: consistency resampling, Bröcker and Smith, 2007.
    Images of a group are correct together as far as their probabilities allow.
    """
    number = np.arange(len(confidence)) if groups is None else np.unique(groups, return_inverse=True)[1]
    draws = max(FEWEST_DRAWS, min(draws, MOST_NUMBERS // len(confidence)))
    drawn = random.random((draws, int(number.max()) + 1))[:, number]
    errors = binned_errors(confidence, np.vstack([correct[None], drawn < confidence]))
    by_chance = errors[1:]
    return CalibrationError(float(errors[0]), float(by_chance.mean()), float(np.quantile(by_chance, 0.95)))


def binned_errors(confidence: Floats, correct: NDArray[np.bool_]) -> Floats:
    """Return the expected calibration error (R,) of outcomes (R, N) to which probabilities (N,) were given."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = (correct - confidence) @ np.eye(BINS)[bins]
    return np.asarray(np.abs(gaps).sum(axis=1) / len(confidence))
