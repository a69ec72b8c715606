"""Whether the report's statistics keep what they promise, also where it is hard: simulated studies of every kind.

    python simulation.py [studies] [part of a cell's name]

Two networks, tuned and not, augmented and not. A training names an image rightly where the image's ease, the
configuration's taste, the seed's luck and chance add up to more than zero. Luck is given in points of accuracy at 50 %;
nearer to 100 % the same luck is fewer points. Of images in groups nine tenths of all variance are the group's. Effects
are those of augmentation. With one seed the truth is that of these very trainings, as the report says.
"""

import sys
import time
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from stages.statistics.accuracies import accuracies
from stages.statistics.best import best_configuration, model_confidence_set
from stages.statistics.contrasts import collapsed, distinct, gain_difference, mean_gain, pair_contrasts
from stages.statistics.differences import POINT, intervals, judge
from stages.statistics.estimates import Floats, Integers, estimate

EASE, TASTE, CHANCE = 0.786, 0.328, 0.524  # standard deviations; their squares add up to one
SHARED = 0.9  # of the variance, within groups
DRAWS = 200  # of the bootstrap; the report takes 2,000


class Cell(NamedTuple):
    """A kind of study."""

    images: int = 300
    accuracy: float = 0.9
    seeds: int = 1
    luck: float = 0.0  # points
    pattern: str = "equal"  # "unequal": every other run has a seventh of the luck; "unlucky": one training of six fails
    group: int = 1
    effect: float = 0.0  # points
    same: bool = False  # tuned is default, for the first network

    def __str__(self) -> str:
        pattern = "" if self.pattern == "equal" else f" {self.pattern}"
        return (
            f"{self.images:5} images {100 * self.accuracy:5.1f} % {self.seeds} seeds luck {self.luck:g}{pattern}"
            f" groups {self.group} effect {self.effect:g}{' same' if self.same else ''}"
        )


class Outcome(NamedTuple):
    """What a simulated study's report says that is so, or not so; shares and points."""

    false_change: float  # better or worse
    false_equal: float
    false_best: float  # one that is as good as the best is told from it
    accuracies: float  # intervals that hold the truth
    differences: float
    simultaneous: float  # all intervals of a report
    headline: float
    seen_bias: float
    bias: float
    found: float  # of true effects
    equal: float  # claims of no difference worth a point


def cells() -> Iterator[Cell]:
    """Yield the kinds of studies."""
    for images, accuracy, seeds in product((30, 60, 300, 1000), (0.5, 0.9, 0.975, 1.0), (1, 3)):
        yield Cell(images, accuracy, seeds, luck=1.0 if seeds > 1 else 0.0)
    for seeds, luck, pattern in product((1, 2, 3, 5), (0.0, 1.0, 4.0, 15.0), ("equal", "unequal")):
        if luck or pattern == "equal":
            yield Cell(300, 0.9, seeds, luck, pattern)
    for images, seeds in product((60, 1000), (2, 3)):
        yield Cell(images, 0.5, seeds, 15.0, "unequal")
        yield Cell(images, 0.975, seeds, 4.0, "unequal")
        yield Cell(images, 0.9, seeds, 8.0, "unlucky")
    for images, group, seeds in product((30, 60, 300, 1000), (3, 10), (1, 3)):
        yield Cell(images, 0.9, seeds, 1.0, group=group)
        if images in (60, 300):
            yield Cell(images, 0.975, seeds, 1.0, group=group)
    for images, effect, (seeds, luck) in product((60, 300, 1000), (1.0, 3.0, 8.0), ((1, 0.0), (3, 1.0), (5, 1.0))):
        yield Cell(images, 0.9, seeds, luck, effect=effect)
    for images, effect in product((60, 300, 1000), (0.0, 8.0)):
        yield Cell(images, 0.9, 3, 1.0, effect=effect, same=True)
        yield Cell(images, 0.975, 1, 0.0, effect=min(effect, 1.0), same=True)


CONFIGURATIONS = list(product(range(2), range(2), range(2)))  # network, hyperparameters, data
NETWORK, TUNED, AUGMENTED = np.array(CONFIGURATIONS).T
PAIRS = {
    axis: [
        (before, after)
        for before, after in product(range(8), repeat=2)
        if CONFIGURATIONS[after][axis] == 1 and CONFIGURATIONS[before] == tuple(
            0 if index == axis else value for index, value in enumerate(CONFIGURATIONS[after])
        )
    ]
    for axis in range(3)
}  # fmt: skip


def compared(runs: Integers) -> Floats:
    """Return the contrasts (K, 8) of a report: pairs, their means, and which change gained more; each once."""
    rows = [*pair_contrasts([pair for axis in range(3) for pair in PAIRS[axis]], runs)]
    rows += [mean for axis in range(3) if (mean := mean_gain(PAIRS[axis], runs)) is not None]
    leads = [
        gain_difference(PAIRS[2], PAIRS[1], NETWORK, runs),
        gain_difference(PAIRS[2], PAIRS[0], np.zeros(8, np.int64), runs),
    ]
    rows += [each for each in leads if each is not None]
    contrasts = collapsed(np.array(rows), runs)
    return contrasts[distinct(contrasts)[0]]


def drawn(cell: Cell, random: np.random.Generator) -> tuple[NDArray[np.bool_], Floats, Integers | None]:
    """Return answers (8, S, N), the true accuracies (8,), and groups (N,)."""
    groups = np.arange(cell.images) // cell.group if cell.group > 1 else None

    def varied(deviation: float, *shape: int) -> Floats:
        own = random.normal(0, deviation, (*shape, cell.images))
        if groups is None:
            return own
        shared = random.normal(0, deviation, (*shape, groups[-1] + 1))[..., groups]
        return np.asarray(np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own)

    deviations = np.full(8, cell.luck / 100 / 0.3989)
    if cell.pattern == "unequal":
        deviations[1::2] /= 7
    up = 1 if cell.accuracy + cell.effect / 100 < 0.995 else -1
    means = np.where(AUGMENTED, cell.accuracy + up * cell.effect / 100, cell.accuracy)
    if cell.pattern == "unlucky":
        fails = random.random((8, cell.seeds)) < 1 / 6
        luck = -1.0 * fails * deviations[:, None] * 3
        grid = [np.where(np.arange(2) == 0, 0, -3 * deviations[0]), np.array([5 / 6, 1 / 6])]
    else:
        luck = random.normal(0, 1, (8, cell.seeds)) * deviations[:, None]
        grid = []
    level = np.where(means < 1, ndtri(means) * np.sqrt(1 + deviations**2 * (cell.pattern != "unlucky")), 40)
    true = ndtr(level[:, None] + luck).mean(axis=1) if cell.seeds == 1 else means
    if grid and cell.seeds > 1:
        true = (ndtr(level[:, None] + grid[0]) * grid[1]).sum(axis=1)
    sums = varied(EASE) + level[:, None, None] + varied(TASTE, 8, 1) + luck[..., None] + varied(CHANCE, 8, cell.seeds)
    correct = sums > 0
    if cell.same:
        correct[TUNED * (1 - NETWORK) == 1] = correct[(1 - TUNED) * (1 - NETWORK) == 1]
        true[TUNED * (1 - NETWORK) == 1] = true[(1 - TUNED) * (1 - NETWORK) == 1]
    return correct, true, groups


def outcome(cell: Cell, random: np.random.Generator) -> Outcome:
    """Return what the report of one simulated study says."""
    correct, true, groups = drawn(cell, random)
    runs = np.where(TUNED * (1 - NETWORK) * cell.same, np.arange(8) - 2, np.arange(8))
    contrasts = compared(runs)
    gains = np.round(contrasts @ true, 9)
    estimates = estimate(correct, contrasts, groups)
    found, _ = judge(estimates)
    single = intervals(estimates)
    of = accuracies(correct, groups)
    chosen = best_configuration(correct, random, groups, DRAWS)
    aim = true[chosen.configuration]
    left = model_confidence_set(correct, runs, groups)
    best_true = true >= true.max() - 1e-9
    real = gains != 0
    return Outcome(
        bool((found.better & (gains <= 0) | found.worse & (gains >= 0)).any()),
        bool((found.equal & (np.abs(gains) >= POINT - 1e-9)).any()),
        bool((best_true & ~left).any()),
        float(_held(of, true).mean()),
        float(_held(single, gains).mean()),
        bool(_held(found.gain, gains).all()),
        chosen.low - 1e-9 <= aim <= chosen.high + 1e-9,
        100 * (chosen.uncorrected - aim),
        100 * (chosen.accuracy - aim),
        float(((found.better | found.worse)[real]).mean()) if real.any() else np.nan,
        float(found.equal.mean()),
    )


def _held(sure: object, true: Floats) -> NDArray[np.bool_]:
    return np.asarray((sure.low - 1e-9 <= true) & (true <= sure.high + 1e-9))  # type: ignore[attr-defined]


def main(studies: str = "200", part: str = "") -> None:
    """Simulate so many studies of each kind; print how often their reports are wrong."""
    print("| cell | " + " | ".join(Outcome._fields) + " |")
    for number, cell in enumerate(cells()):
        if part in str(cell):
            random = np.random.default_rng([number, 31])
            started = time.monotonic()
            rows = np.array([outcome(cell, random) for _ in range(int(studies))], np.float64)
            known = ~np.isnan(rows)
            found = np.where(known.any(axis=0), np.nansum(rows, axis=0) / known.sum(axis=0).clip(1), np.nan)
            shown = [
                f"{share if name.endswith('bias') else 100 * share:6.1f}"
                for name, share in zip(Outcome._fields, found, strict=True)
            ]
            print(f"| {cell!s:60} | " + " | ".join(shown) + f" | {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
