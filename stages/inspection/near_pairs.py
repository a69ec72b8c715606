"""Photographs of one scene, and of classes that are confused, by what a network makes of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.whitening import Floats, Whitening

SAME_SCENE = 0.41  # similarity from which on two photographs may show one scene; experiments/insight.py measures it
BLOCK = 1024  # rows that are compared at a time with all


class Pair(NamedTuple):
    """Two images by their rows, the first one's being the lower, and their similarity, at most 1."""

    one: int
    other: int
    similarity: float


def same_scene(
    whitening: Whitening, features: Floats, mirrored: Floats, splits: NDArray[np.int64], least: float = SAME_SCENE
) -> list[Pair]:
    """Return each image with the one in another split (N,) that is most like it, where they are as similar as that.

    The most similar come first, no pair twice. Features (N, D) are of images and of their mirror images, so that a
    mirrored copy is found as well. Images that are all the same have no direction, and no pair.
    """
    directions, reflections = whitening.directions(features), whitening.directions(mirrored)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(splits), BLOCK):
        some = directions[start : start + BLOCK]
        similarity = np.maximum(some @ directions.T, some @ reflections.T)
        similarity[splits[start : start + BLOCK, None] == splits] = -1
        nearest = similarity.argmax(axis=1)
        for row in np.flatnonzero(similarity.max(axis=1) >= least):
            one, other = sorted((start + int(row), int(nearest[row])))
            found[one, other] = float(similarity[row, nearest[row]])
    return sorted((Pair(*pair, similarity) for pair, similarity in found.items()), key=lambda pair: -pair.similarity)


def across_the_boundary(directions: Floats, labels: NDArray[np.int64], one: int, other: int, count: int) -> list[Pair]:
    """Return the most similar pairs of an image of one class and one of another, each image in one pair at most."""
    ones, others = np.flatnonzero(labels == one), np.flatnonzero(labels == other)
    similarity = directions[ones] @ directions[others].T
    pairs: list[Pair] = []
    for place in np.argsort(-similarity, axis=None, kind="stable"):
        row, column = (int(index) for index in np.unravel_index(place, similarity.shape))
        pair = int(ones[row]), int(others[column])
        if len(pairs) == count:
            break
        if not {*pair} & {image for known in pairs for image in (known.one, known.other)}:
            pairs.append(Pair(*pair, float(similarity[row, column])))
    return pairs


def confused_classes(confusion: NDArray[np.int64], count: int) -> list[tuple[int, int, int]]:
    """Return the pairs of classes most often taken for each other, and how often, from counts (actual, predicted)."""
    both = np.triu(confusion + confusion.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:count]
    pairs = [tuple(int(index) for index in np.unravel_index(place, both.shape)) for place in order]
    return [(one, other, int(both[one, other])) for one, other in pairs if both[one, other]]
