"""A search leaves the settings with the lowest expected loss: likely gains are taken, noise alone seldom is."""

import numpy as np
import pytest

from experiments.search_rule import Kind, measure, taken
from stages.tuning.selection import TRAINING_LUCK, best_expected, gains_and_errors, shrunken_gains

STUDIES = 400
KIND = Kind("own_cnn", 4, 80)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_without_a_true_gain_little_is_lost(rng):
    """Less than 0.3 points on average where all trials are worse, and mostly the defaults stay where all are equal."""
    assert -0.3 < measure(KIND, STUDIES)["lost"] <= 0
    assert np.mean([taken([0.0] * 4, KIND, rng) > 0 for _ in range(STUDIES)]) < 0.45


@pytest.mark.parametrize("others", [[], [0.0] * 3, [-3.0] * 3])
def test_a_true_gain_of_three_points_is_taken_in_more_than_half_of_the_studies(others, rng):
    """Alone, and among three trials that are no better or worse."""
    assert np.mean([taken([3.0, *others], KIND, rng) == 1 for _ in range(STUDIES)]) > 0.5


def test_gains_and_their_errors_are_paired_over_images():
    """What makes an image hard for all does not count; the luck of two trainings does."""
    losses = np.random.default_rng(1).gamma(2, 1, (3, 50))
    gains, errors = gains_and_errors(losses)
    differences = losses[0] - losses[2]
    luck = TRAINING_LUCK * losses[0].mean()
    assert gains[1] == pytest.approx(differences.mean())
    assert errors[1] ** 2 == pytest.approx(differences.var(ddof=1) / 50 + 2 * luck**2)


def test_gains_are_shrunk_by_their_errors():
    """All of one that is certain is left, less of one that is not, so that a smaller, surer one may be preferred."""
    certain, doubtful = shrunken_gains(np.array([0.3, 0.35]), np.array([0.01, 0.4]))
    assert certain == pytest.approx(0.3, rel=0.02)
    assert doubtful < 0.2
    assert shrunken_gains(np.array([0.02, -0.03]), np.array([0.1, 0.1])).max() <= 0
    losing = shrunken_gains(np.array([0.02, -0.3, -0.4]), np.array([0.1, 0.1, 0.1]))
    assert losing[0] < 0  # where the others lose, a small gain is more likely chance


def test_without_other_trials_the_defaults_stay():
    """And where they are all the same."""
    assert best_expected(np.ones((1, 5))) == 0
    assert best_expected(np.tile(np.arange(5.0), (3, 1))) == 0
