"""What chance does to a calibration error."""

import numpy as np
import pytest

from stages.statistics.calibration import calibration_error


def test_a_perfect_network_is_not_told_from_chance():
    """Sixty images show a calibration error of a dozen points by chance; a bad network shows more."""
    random = np.random.default_rng(0)
    confidence = random.uniform(0.4, 1, 60)
    found = [calibration_error(confidence, random.random(60) < confidence, random, draws=200) for _ in range(200)]
    assert np.mean([each.error for each in found]) == pytest.approx(found[0].chance, abs=0.01)
    assert found[0].chance > 0.1
    assert np.mean([each.error > each.most_by_chance for each in found]) < 0.09
    bad = calibration_error(confidence, random.random(60) < confidence - 0.4, random)
    assert bad.error > bad.most_by_chance
    assert calibration_error(confidence, np.ones(60, bool), random, np.arange(60) // 5).chance > found[0].chance
