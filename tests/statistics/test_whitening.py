"""Features are compared in directions that vary alike."""

import numpy as np
import pytest

from stages.statistics.whitening import Whitening, raised_to_power


def test_a_signed_power_keeps_signs():
    """Features of some networks are negative."""
    values = np.array([[-4.0, 0.0, 9.0]], np.float32)
    assert raised_to_power(values, 0.5).tolist() == [[-2, 0, 3]]
    assert raised_to_power(values, 0.75).tolist() == pytest.approx(np.array([[-(4**0.75), 0, 9**0.75]]))
    assert raised_to_power(values, 1).tolist() == values.tolist()


def test_a_small_difference_counts_where_others_are_small():
    """Two images that differ in a direction that hardly varies are less alike than by their cosine."""
    rng = np.random.default_rng(0)
    features = rng.uniform(0, 1, (200, 4)).astype(np.float32) * [100, 100, 100, 1]
    one, other = np.array([[90, 50, 50, 0.0]], np.float32), np.array([[90, 50, 50, 1.0]], np.float32)
    directions = Whitening.fit(features).directions(np.concatenate([one, other]))
    x = raised_to_power(np.concatenate([one, other])) - raised_to_power(features).mean(axis=0)
    cosine = x[0] @ x[1] / np.linalg.norm(x[0]) / np.linalg.norm(x[1])
    assert directions[0] @ directions[1] < cosine
    assert np.linalg.norm(directions, axis=1).tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
def test_images_that_are_all_the_same_have_no_direction(value):
    """Nor does rounding give them one."""
    features = np.full((30, 8), value, np.float32)
    assert not Whitening.fit(features).directions(features).any()
