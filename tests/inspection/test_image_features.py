"""Features of any width can be asked about."""

import numpy as np

from stages.inspection.image_features import MIXTURES, MOST_FEATURES, randomly_projected


def test_features_of_usual_width_stay_as_they_are():
    """Those of every network that one would freeze."""
    features = np.ones((3, MOST_FEATURES), np.float32)
    assert randomly_projected(features, features)[0] is features


def test_very_many_features_are_mixed_so_that_distances_stay():
    """As of a network whose last layer sees all pixels; of images and their mirror images alike."""
    random = np.random.default_rng(1)
    features = random.normal(size=(20, 2 * MOST_FEATURES)).astype(np.float32)
    first, second = randomly_projected(features, features + 1)
    assert first.shape == (20, MIXTURES)
    before, after = (np.linalg.norm(each[:1] - each[1:], axis=1) for each in (features, first))
    assert np.abs(after / before - 1).max() < 0.15
    assert np.array_equal(randomly_projected(features, features)[1], first)
    assert np.ptp(second - first, axis=0).max() < 1e-3
