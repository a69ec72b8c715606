"""Only what was tried is compared."""

import numpy as np

from stages.statistics.contrasts import distinct, gain_difference, mean_gain, merged_runs, pair_contrasts


def test_pairs_that_were_never_tried_are_left_out():
    """Tuned is default for the first network: the gain is the other's, +20 and not +10 points."""
    runs = np.array([0, 0, 2, 3])  # default, tuned; default, tuned
    assert mean_gain([(0, 1), (2, 3)], runs).tolist() == [0, 0, -1, 1]
    assert mean_gain([(0, 1)], runs) is None
    assert not pair_contrasts([(0, 1)], runs).any()
    assert distinct(merged_runs(np.array([[-1.0, 1, 0, 0], [0, -1, 1, 0], [-1, 0, 1, 0]]), runs))[1].tolist() == [
        -1,
        0,
        0,
    ]


def test_techniques_are_compared_over_the_same_networks():
    """What was tried with one network alone is held against what the other technique did there."""
    blocks = np.array([0, 0, 0, 1, 1, 1])  # default, tuned, augmented of each network
    runs = np.array([0, 0, 2, 3, 4, 5])
    assert gain_difference([(0, 2), (3, 5)], [(0, 1), (3, 4)], blocks, runs).tolist() == [0, 0, 0, 0, -1, 1]
    assert gain_difference([(0, 2)], [(0, 1)], blocks, runs) is None
