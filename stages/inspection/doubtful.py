"""Images whose label a network doubts: mistakes of whoever labelled them, or hard cases.

Source: Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels, 2021.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.whitening import Floats

DOUBTED = 0.1  # probability of the given label below which it is doubted
SURE = 0.5  # probability of another class from which on that one is named instead


class DoubtfulLabel(NamedTuple):
    """An image by its row, the class that it likelier is, and the probabilities of its label and of that class."""

    row: int
    likelier: int
    probability: float
    sureness: float


def find_doubtful_labels(probabilities: Floats, labels: NDArray[np.int64]) -> list[DoubtfulLabel]:
    """Return the images whose label is doubted, the least probable label first.

    Probabilities (N, classes) must be of networks that did not learn these labels (N,): else none is doubted.
    """
    rows = np.arange(len(labels))
    given, others = probabilities[rows, labels], probabilities.copy()
    others[rows, labels] = -1
    likelier = others.argmax(axis=1)
    sureness = others[rows, likelier]
    order = np.argsort(given, kind="stable")
    chosen = order[(given[order] < DOUBTED) & (sureness[order] >= SURE)]
    return [DoubtfulLabel(int(row), int(likelier[row]), float(given[row]), float(sureness[row])) for row in chosen]
