"""How often a search takes a true gain, and what noise alone makes it lose: simulated studies of each network's search.

    python -m experiments.search_rule 1000

A simulated study has the number of trials and of validated images that the default study's search has, and losses that
scatter as there: between images, between trainings, and of an image between trainings. All other trials are truly
worse, as steps away from good defaults are. Writes experiments/results/search_rule.json, of which docs/results.md is
made.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helpers.timing import write_results
from stages.reporting.markdown import percent, table
from stages.tuning.selection import TRAINING_LUCK, best_expected

LOSS, POINT = 1.1, 0.037  # of the own CNN on drawn birds: nats, and nats that a point of accuracy is worth
OF_IMAGES, OF_BOTH = 1.0, 0.35  # standard deviations: between images, and of an image between trainings
USUAL_LOSS = 3.0  # points, standard deviation of what a trial loses that has no gain
GAINS = (3.0, 5.0)


class Kind(NamedTuple):
    """A search: its trials beside the defaults, the images that validate, and the luck of a training."""

    name: str
    trials: int
    images: int
    luck: float = TRAINING_LUCK


KINDS = (Kind("own_cnn", 7, 80), Kind("resnet50", 3, 80), Kind("head of efficientnet_lite0", 30, 560, 0.0))


def main(count: int) -> None:
    """Simulate so many studies of each kind; print and keep what came of them."""
    measured = [measure(kind, count) for kind in KINDS]
    shown = [
        [
            str(each["search"]),
            str(each["trials"]),
            str(each["images"]),
            f"{each['lost']:+.2f} points",
            *(percent(float(each[f"taken_{gain:g}"])) for gain in GAINS),
        ]
        for each in measured
    ]
    columns = ["search of", "trials", "images", "no true gain: tuned less default"]
    found = table([*columns, *(f"true gain of {gain:g} points taken" for gain in GAINS)], shown)
    write_results("experiments/results/search_rule.json", measured, found)
    print(found)


def measure(kind: Kind, count: int) -> dict[str, float | str]:
    """Return what the rule loses without a gain, and how often it takes a gain, over so many simulated studies."""
    rng = np.random.default_rng(1)
    found: dict[str, float | str] = {"search": kind.name, "trials": kind.trials + 1, "images": kind.images}
    lost = []
    for _ in range(count):
        points = losing(kind.trials, rng)
        lost.append([0.0, *points][taken(points, kind, rng)])
    found["lost"] = float(np.mean(lost))
    for gain in GAINS:
        chosen = [taken([gain, *losing(kind.trials - 1, rng)], kind, rng) for _ in range(count)]
        found[f"taken_{gain:g}"] = float(np.mean(np.array(chosen) == 1))
    return found


def losing(count: int, rng: np.random.Generator) -> list[float]:
    """Return what trials lose that have no gain, in points below zero."""
    return [-abs(float(each)) for each in rng.normal(0, USUAL_LOSS, count)]


def taken(points: Sequence[float], kind: Kind, rng: np.random.Generator) -> int:
    """Return which trial a study takes of those that are truly so many points better; 0: the defaults."""
    return best_expected(simulated(points, kind, rng), kind.luck)


def simulated(points: Sequence[float], kind: Kind, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return losses (trials, images) of the defaults and of trials that are truly so many points better."""
    true = LOSS - POINT * np.array([[0.0], *([each] for each in points)])
    luck = kind.luck * LOSS * rng.normal(size=true.shape)
    of_both = OF_BOTH * rng.normal(size=(len(true), kind.images))
    losses: NDArray[np.float64] = true + luck + rng.normal(0, OF_IMAGES, kind.images) + of_both
    return losses


if __name__ == "__main__":
    main(int(sys.argv[1]))
