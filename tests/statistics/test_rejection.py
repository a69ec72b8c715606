"""From which evidence on an image is taken for one of a network's classes."""

import numpy as np
import pytest

from stages.statistics.rejection import evidence, rejection_threshold


def test_evidence_is_high_where_a_class_stands_out():
    """Or several; a number that all logits have in common says nothing."""
    logits = np.array([[4.0, 0, 0], [4, 4, 0], [1, 0, 0], [0, 0, 0], [9, 9, 9]])
    one, two, little, none, same = evidence(logits)
    assert min(one, two) > little > none
    assert none == same == pytest.approx(np.log(3))
    assert np.isfinite(evidence(np.array([[1e4, -1e4]]))).all()


def test_the_threshold_rejects_no_more_than_it_says():
    """One in twenty new images at most; below 19 nothing can be said: none are rejected."""
    random = np.random.default_rng(0)

    def drawn(count):
        return random.normal(size=(count, 3)) * random.uniform(0, 9, (count, 1))

    assert rejection_threshold(drawn(18)) is rejection_threshold(np.zeros((0, 3))) is None
    some = drawn(19)
    assert rejection_threshold(some) == evidence(some).min()
    rejected = [np.mean(evidence(drawn(1000)) < rejection_threshold(drawn(50))) for _ in range(400)]
    assert 0.02 <= np.mean(rejected) <= 0.05
    assert rejection_threshold(drawn(100), np.arange(100) // 10) is None
