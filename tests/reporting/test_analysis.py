"""What the report says that a study can decide."""

import numpy as np
import pytest

from stages.reporting.analysis import GAINS, decidable
from stages.reporting.comparisons import Outcomes
from stages.runtime.study import Configuration


@pytest.mark.parametrize("changed", [(2, 40), (1, 3, 60), (0, 4, 30, 90), (5, 6)])
def test_a_gain_below_the_smallest_takes_more_images_than_there_are(changed):
    """And one above it no more, however unlike the comparisons are: both numbers are of the same one."""
    correct = np.tile(np.arange(200) % 3 > 0, (1 + len(changed), 1, 1))
    for row, images in enumerate(changed, start=1):
        correct[row, 0, :images] ^= True
    keys = [Configuration(f"network{row}", "default", "original") for row in range(len(correct))]
    outcomes = Outcomes(keys, correct, np.arange(len(keys)), np.arange(200) % 2, None, None)
    pairs = [np.eye(len(keys))[row] - np.eye(len(keys))[0] for row in range(1, len(keys))]
    each = [decidable(outcomes, [pair], len(pairs)) for pair in pairs]
    found = decidable(outcomes, pairs, len(pairs))
    assert found in each
    assert all((gain >= found.smallest_gain) == (found.images[gain] <= 200) for gain in GAINS)
