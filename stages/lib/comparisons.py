"""What changing one axis of the study was worth, all else equal, and how sure that is."""

from typing import Any, NamedTuple

import numpy as np

from stages.lib.evidence import Fractions, Interval, interval, mcnemar
from stages.lib.runs import Kind

AXES = {  # of each: what the study starts from, and what it tries instead
    "network": ("own_cnn", "resnet50"),
    "hyperparameters": ("default", "tuned"),
    "data": ("original", "augmented"),
}

Records = dict[Kind, list[dict[str, Any]]]  # of each kind: a record of metrics/runs for each seed


class Comparison(NamedTuple):
    """Two kinds of run that differ in one axis; positive differences in accuracy speak for the second."""

    axis: str
    before: Kind
    after: Kind
    difference: Interval
    p_values: list[float]  # exact McNemar, one for each seed


def comparisons(records: Records) -> list[Comparison]:
    """Return every pair of kinds that differ in one axis alone."""
    found = []
    for axis, (first, second) in AXES.items():
        for before in records:
            after = before._replace(**{axis: second})
            if getattr(before, axis) == first and after in records:
                gain = interval(rightness(records[after]) - rightness(records[before]))
                pairs = zip(records[before], records[after], strict=True)
                p_values = [mcnemar(right(one) == 1, right(other) == 1) for one, other in pairs]
                found.append(Comparison(axis, before, after, gain, p_values))
    return found


def effects(records: Records) -> dict[str, Fractions]:
    """Return for each axis of which both values took part: the gain on each test picture, mean of all its pairs."""
    gains: dict[str, list[Fractions]] = {}
    for pair in comparisons(records):
        gains.setdefault(pair.axis, []).append(rightness(records[pair.after]) - rightness(records[pair.before]))
    return {axis: np.mean(each, axis=0) for axis, each in gains.items()}


def rightness(records: list[dict[str, Any]]) -> Fractions:
    """Return for each test picture the share of seeds with which it was named rightly."""
    return np.asarray(np.mean([right(record) for record in records], axis=0))


def right(record: dict[str, Any]) -> Fractions:
    """Return 1.0 for each test picture that a run named rightly, 0.0 for every other."""
    return np.array(list(record["right"]), dtype=np.float64)
