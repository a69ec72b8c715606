"""From which probability on an image is one of the classes."""

import numpy as np
import pytest

from stages.statistics.rejection import rejection_threshold


def test_one_correct_answer_in_twenty_lies_below_the_threshold_of_none_of_these():
    """Wrong answers have no say; without a correct one nothing is rejected."""
    correct = np.linspace(0.5, 0.9, 101)
    probabilities = np.column_stack([np.append(correct, 0.51), 1 - np.append(correct, 0.51)])
    labels = np.append(np.zeros(101, int), 1)
    assert rejection_threshold(probabilities, labels) == pytest.approx(0.52)
    assert rejection_threshold(probabilities, 1 - labels) == pytest.approx(0.51)
    assert rejection_threshold(probabilities[:3], np.ones(3, int)) == 0
