"""Whether the report's statistics keep what they promise: simulated studies in which nothing makes any difference.

    python -m experiments.false_claims [studies]

Two networks, tuned and not, augmented and not, on 300 test images, from 1, 3 and 5 seeds. A prediction is correct where
a mean, an effect of the image, its interaction with the configuration, an effect of the seed and a residual add up to
more than zero. With one seed the report speaks of those very trainings, so all have the same seed effect there. A false
claim is any better or worse, any finding confirmed or refuted; a report makes about twenty comparisons. Ten minutes on
two cores for 1,000 studies of each kind.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from stages.reporting.findings import epochs_p_value, leads
from stages.reporting.markdown import percent, table
from stages.runtime.cores import available_cores
from stages.runtime.seeding import stream
from stages.runtime.study import Study
from stages.statistics.comparisons import (
    BETTER,
    WORSE,
    Contrast,
    Records,
    accuracy_of,
    contrasts,
    grid_of,
    judge_contrasts,
    same_runs,
    spread_of,
)
from stages.statistics.intervals import CONFIDENCE, Grid, p_value

IMAGES = 300
IMAGE, INTERACTION, RESIDUAL = 1.2, 0.5, 0.8  # standard deviations of the effects
MEAN = 0.5  # of the sum: about 60 % correct
CONDITIONS = [
    (1, 0.0),
    (3, 0.0),
    (3, 0.05),
    (3, 0.1),
    (5, 0.05),
]  # seeds, and the standard deviation of their effect: 0.1 is two points


class Outcome(NamedTuple):
    """What a simulated study's report says that is so, or not so."""

    false_claim: bool  # after adjustment
    unadjusted: bool  # as a report without adjustment would have it
    differences: float  # share of the intervals of differences that hold zero
    accuracies: float  # share of Wilson's that hold the accuracy on all images


def main(studies: str = "1000") -> None:
    """Simulate so many studies of each kind; print how often their reports are wrong."""
    columns = ["seeds", "points between seeds", "a false claim", "without adjustment", "differences", "accuracies"]
    print(f"{int(studies):,} studies each, without any difference; the last two columns: intervals that hold the truth")
    rows = []
    for seeds, seed_deviation in CONDITIONS:
        with ProcessPoolExecutor(available_cores()) as pool:
            found = list(pool.map(partial(outcome, seeds, seed_deviation), range(int(studies)), chunksize=20))
        shares = np.mean(found, axis=0)
        rows.append([str(seeds), f"{100 * seed_deviation * 0.2:.1f}", *(percent(share) for share in shares)])
        print(table(columns, rows).splitlines()[-1] if len(rows) > 1 else table(columns, rows), flush=True)


def outcome(seeds: int, seed_deviation: float, number: int) -> Outcome:
    """Return what the report of one simulated study says."""
    study = Study(
        networks=["own_cnn", "resnet50"],
        hyperparameters=["default", "tuned"],
        data=["original", "augmented"],
        seeds=list(range(seeds)),
    )
    random = stream(number, "simulation", seeds, str(seed_deviation))
    configurations = study.configurations()
    grids_drawn = drawn_predictions(random, len(configurations), seeds, seed_deviation)
    drawn = {name: next(grids_drawn) for name in configurations}
    scores: Records = {
        name: [{"correct": "".join("01"[int(one)] for one in row)} for row in grid] for name, grid in drawn.items()
    }
    costs = {name: epochs(random, seeds) for name in drawn}
    worth = contrasts(scores)
    claims: dict[Any, Contrast] = {**worth, **leads(scores)}
    judged, p_values = judge_contrasts(scores, claims, same_runs(scores), epochs_p_value(costs))
    truth = float(ndtr(MEAN / np.sqrt(IMAGE**2 + INTERACTION**2 + RESIDUAL**2 + seed_deviation**2)))
    accuracies = [accuracy_of(scores, name) for name in drawn]
    differences = [each.gain for name, each in judged.items() if name in worth]
    return Outcome(
        any(each.verdict in (BETTER, WORSE) for each in judged.values())
        or any(value < 1 - CONFIDENCE for value in p_values.values()),
        any(p_value(grid_of(scores, each), spread_of(scores, each)) < 1 - CONFIDENCE for each in claims.values()),
        float(np.mean([each.low <= 0 <= each.high for each in differences])),
        float(np.mean([each.low <= truth <= each.high for each in accuracies])),
    )


def drawn_predictions(
    random: np.random.Generator, configurations: int, seeds: int, seed_deviation: float
) -> Iterator[Grid]:
    """Yield for each configuration 1.0 where a seed (row) predicts an image (column) correctly."""
    image_effect: NDArray[np.float64] = MEAN + random.normal(0, IMAGE, IMAGES)
    for _ in range(configurations):
        interaction, seed_effect = random.normal(0, INTERACTION, IMAGES), random.normal(0, seed_deviation, (seeds, 1))
        yield (image_effect + interaction + seed_effect + random.normal(0, RESIDUAL, (seeds, IMAGES)) > 0).astype(
            np.float64
        )


def epochs(random: np.random.Generator, seeds: int) -> list[dict[str, Any]]:
    """Return records of cost that differ by chance."""
    return [{"epochs": 10, "epochs_to_95_percent": int(number)} for number in random.integers(5, 11, seeds)]


if __name__ == "__main__":
    main(*sys.argv[1:])
