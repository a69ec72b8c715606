"""From which probability on an image is believed."""

import numpy as np

from stages.statistics.rejection import rejection_threshold


def test_the_threshold_rejects_no_more_than_it_says():
    """One in twenty new images at most; below 19 nothing can be said: none are rejected."""
    random = np.random.default_rng(0)

    def threshold(confidence, groups=None):
        probabilities = np.stack([confidence, np.zeros(len(confidence))], axis=1)
        return rejection_threshold(probabilities, np.zeros(len(confidence), int), groups)

    assert threshold(random.random(18)) == threshold(np.zeros(0)) == 0
    assert threshold(np.array([*np.linspace(0.5, 1, 18), 0.3])) == 0.3
    rejected = [np.mean(random.random(1000) < threshold(random.random(50))) for _ in range(400)]
    assert np.mean(rejected) <= 0.05
    assert threshold(random.random(100), np.arange(100) // 10) == 0
