"""A map on which images lie together that are alike."""

import numpy as np
import pytest

from stages.inspection import photograph_map
from stages.inspection.photograph_map import positions


def groups(count: int, classes: int = 5, dimensions: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng, labels = np.random.default_rng(0), np.arange(count) % classes
    means = np.random.default_rng(1).uniform(0, 3, (classes, dimensions))
    return np.abs(means[labels] + 0.4 * rng.normal(size=(count, dimensions))).astype(np.float32), labels


def test_images_lie_beside_their_own_kind():
    """Of nearly all images the nearest on the map is of the same class; the same places each time."""
    features, labels = groups(150)
    places = positions(features, np.random.default_rng(0))
    apart = ((places[:, None] - places) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(axis=1)] == labels).mean() > 0.95
    assert np.abs(places).max() == 1
    assert np.array_equal(places, positions(features, np.random.default_rng(0)))


def test_of_very_many_images_the_strongest_dimensions_are_drawn(monkeypatch):
    """They take no time; classes still lie apart."""
    monkeypatch.setattr(photograph_map, "MOST_IMAGES", 100)
    features, labels = groups(150, 2)
    places = positions(features, np.random.default_rng(0))
    assert abs(places[labels == 0, 0].mean() - places[labels == 1, 0].mean()) > 0.5


@pytest.mark.parametrize(("count", "dimensions"), [(1, 4), (2, 1), (16, 3), (17, 1)])
def test_few_images_or_dimensions_have_places_too(count, dimensions):
    """Within the map."""
    places = positions(np.random.default_rng(0).uniform(size=(count, dimensions)), np.random.default_rng(0))
    assert places.shape == (count, 2)
    assert (np.abs(places) <= 1).all()


def test_images_that_are_all_the_same_lie_in_the_middle():
    """Nothing tells them apart."""
    assert not positions(np.ones((40, 8), np.float32), np.random.default_rng(0)).any()
