"""Photographs of one scene, and of classes that are confused, by what a network makes of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.whitening import Floats, Whitening

SURELY = 0.5  # similarity from which on two photographs may show one scene, whatever else there is
STANDS_OUT = 0.22  # what a pair's similarity is more than that of others near it
OTHERS = 6  # the so many nearest of an image: fewer may be of the same scene as well
BLOCK = 1024  # rows that are compared at a time with all


class Pair(NamedTuple):
    """Two images by their rows, the first one's being the lower, and their similarity, at most 1."""

    one: int
    other: int
    similarity: float


def same_scene(
    whitening: Whitening, features: Floats, mirrored: Floats, splits: NDArray[np.int64], sure: float = SURELY
) -> list[Pair]:
    """Return each image with the one in another split (N,) that is most like it, where both may show one scene.

    They do where they are as similar as that, or stand out: where many images are alike, such as one kind of bird in
    flight, similarity alone says little. By how much, rests on crops of 60 % that are found beside pairs that the sets
    have without any: 0.2 has too many such pairs in CUB-20, 0.24 misses crops in tiny-imagenet-20, and
    experiments/insight.py counts both. The most similar come first, no pair twice. Features (N, D) are of images and
    of their mirror images, so that a mirrored copy is found as well. Images that are all the same have no direction,
    and no pair. Source: Conneau et al., Word translation without parallel data, 2018 (local scaling of similarities).
    """
    directions, reflections = whitening.directions(features), whitening.directions(mirrored)
    likeness, nearest, others = np.zeros(len(splits)), np.zeros(len(splits), np.int64), np.zeros(len(splits))
    for start in range(0, len(splits), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(splits)))
        similarity = np.maximum(directions[rows] @ directions.T, directions[rows] @ reflections.T)
        similarity[rows - start, rows] = -1
        others[rows] = np.partition(similarity, -min(OTHERS, len(splits)))[:, -min(OTHERS, len(splits))]
        similarity[splits[rows, None] == splits] = -1
        nearest[rows], likeness[rows] = similarity.argmax(axis=1), similarity.max(axis=1)
    stands_out = likeness - (others + others[nearest]) / 2 >= STANDS_OUT
    found = {
        (min(row, nearest[row]), max(row, nearest[row])): likeness[row]
        for row in np.flatnonzero((likeness >= sure) | ((likeness > 0) & stands_out))
    }
    pairs = [Pair(int(one), int(other), float(similarity)) for (one, other), similarity in found.items()]
    return sorted(pairs, key=lambda pair: -pair.similarity)


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
