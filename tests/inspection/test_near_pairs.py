"""Images of one scene in two splits, and the nearest of two classes."""

import numpy as np

from stages.inspection.near_pairs import Pair, across_the_boundary, confused_classes, same_scene
from stages.statistics.whitening import Whitening


def features_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, 256)).astype(np.float32)


def test_copies_in_another_split_are_found_also_mirrored():
    """A near copy, and one that only the mirror image shows; none within a split, none twice, the nearest first."""
    features, mirrored, splits = features_of(60), features_of(60, 1), np.repeat([0, 1], 30)
    features[40] = 0.98 * features[3]
    mirrored[50] = features[7]
    features[9] = features[8]
    found = same_scene(Whitening.fit(features), features, mirrored, splits, 0.9)
    assert [(pair.one, pair.other) for pair in found] == [(7, 50), (3, 40)]
    assert found[0].similarity >= found[1].similarity > 0.9


def test_images_that_many_are_like_are_no_pairs():
    """Twenty alike are a kind of photograph; two that are as alike, where no third is, may be of one scene."""
    features, kinds = features_of(200), np.repeat([0, 1], [20, 2])  # of the first rows
    features[:22] = features[kinds] + np.random.default_rng(1).normal(0, 0.1, (22, 256))
    splits = np.arange(200) % 2
    whitening = Whitening.fit(features)
    assert [pair[:2] for pair in same_scene(whitening, features, features, splits, 0.9)] == [(20, 21)]


def test_images_that_are_all_the_same_have_no_pairs():
    """Else each would be a pair with each."""
    features = np.ones((50, 8), np.float32)
    assert same_scene(Whitening.fit(features), features, features, np.arange(50) % 2) == []


def test_images_are_compared_with_all_others(monkeypatch):
    """However many are compared at a time."""
    features, splits = features_of(50), np.arange(50) % 3
    features[49] = features[0]
    whitening = Whitening.fit(features)
    whole = same_scene(whitening, features, features, splits, 0.2)
    monkeypatch.setattr("stages.inspection.near_pairs.BLOCK", 7)
    assert [pair[:2] for pair in same_scene(whitening, features, features, splits, 0.2)] == [pair[:2] for pair in whole]
    assert (whole[0].one, whole[0].other) == (0, 49)


def test_nearest_images_across_a_boundary_come_once_each():
    """The best pair first, then the best of the images that are left; as many as there are."""
    directions = np.array([[1, 0], [0.8, 0.6], [0.9, 0.1], [0, 1]], np.float32)
    found = across_the_boundary(directions, np.array([0, 0, 1, 1]), 0, 1, 5)
    assert [pair[:2] for pair in found] == [(0, 2), (1, 3)]
    assert found[0] == Pair(0, 2, float(np.float32(0.9)))


def test_confused_classes_count_both_ways():
    """As many pairs as are asked for, and none that were never confused."""
    confusion = np.array([[5, 2, 0], [3, 5, 1], [0, 0, 9]])
    assert confused_classes(confusion, 3) == [(0, 1, 5), (1, 2, 1)]
    assert confused_classes(np.eye(1000, dtype=np.int64), 3) == []
