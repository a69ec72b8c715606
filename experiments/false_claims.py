"""Whether the report's statistics keep what they promise, also where it is hard: simulated studies of every kind.

    python -m experiments.false_claims [studies] [part of a kind's name]

Two networks, tuned and not, augmented and not. A training predicts an image correctly where an effect of the image, its
interaction with the configuration, an effect of the seed and a residual add up to more than zero. The seed's effect is
given in points of accuracy at 50 %; nearer to 100 % it is fewer points. Of images in groups nine tenths of all variance
are the group's. Effects are those of augmentation. With one seed the truth is that of these very trainings, as the
report says. Written to experiments/results/false_claims.json, a kind of study after another.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from helpers.timing import write_results
from stages.reporting.markdown import table
from stages.runtime.cores import available_cores
from stages.statistics.accuracies import Intervals, accuracies
from stages.statistics.best import best_configuration, model_confidence_set
from stages.statistics.contrasts import distinct, gain_difference, mean_gain, merged_runs, pair_contrasts
from stages.statistics.differences import POINT, intervals, judge
from stages.statistics.estimates import Floats, Integers, estimate

IMAGE, INTERACTION, RESIDUAL = 0.786, 0.328, 0.524  # standard deviations; their squares add up to one
SHARED = 0.9  # of the variance, within groups
RESULTS = "experiments/results/false_claims.json"
SHOWN_POWER = 300  # test images, from which on the table of power has a row
DRAWS = 200  # of the bootstrap; the report takes 2,000
PROMISES = {  # by the name of an outcome: in words, and the lowest and highest value that keep it
    "false_change": ("reports with a false better or worse: at most 5", -np.inf, 5),
    "false_equal": ("with a false `no difference worth a point`: at most 5", -np.inf, 5),
    "false_best": ("that tell one of the best from the best: at most 5", -np.inf, 5),
    "accuracies": ("intervals of accuracies that hold: at least 93", 93, np.inf),
    "differences": ("of differences: at least 93", 93, np.inf),
    "headline": ("of the best run's accuracy: at least 93", 93, np.inf),
    "bias": ("points by which the best's accuracy is too high: at most 1", -1, 1),
    "uncorrected_bias": ("the same, uncorrected", -1, 1),
}


class Kind(NamedTuple):
    """A kind of study."""

    images: int = 300
    accuracy: float = 0.9
    seeds: int = 1
    seed_effect: float = 0.0  # points
    pattern: str = (
        "equal"  # "unequal": every other run has a seventh of the effect of seeds; "unlucky": one training of six fails
    )
    group: int = 1
    effect: float = 0.0  # points
    same: bool = False  # tuned is default, for the first network

    def __str__(self) -> str:
        pattern = "" if self.pattern == "equal" else f" ({self.pattern})"
        words = [
            f"{self.images} images",
            f"{100 * self.accuracy:g} %",
            f"{self.seeds} seeds that differ by {self.seed_effect:g}{pattern}",
            f"groups of {self.group}",
            f"effect {self.effect:g}",
            *(["tuned is default"] if self.same else []),
        ]
        return ", ".join(words)


class Outcome(NamedTuple):
    """What a simulated study's report says that is so, or not so; shares and points."""

    false_change: float  # better or worse
    false_equal: float
    false_best: float  # one that is as good as the best is told from it
    accuracies: float  # intervals that hold the truth
    differences: float
    simultaneous: float  # all intervals of a report
    headline: float
    uncorrected_bias: float  # of the accuracy of the best, in points
    bias: float  # corrected
    found: float  # of true effects
    equal: float  # claims of no difference worth a point


def kinds() -> Iterator[Kind]:
    """Yield the kinds of studies."""
    for images, accuracy, seeds in product((30, 60, 300, 1000), (0.5, 0.9, 0.975, 1.0), (1, 3)):
        yield Kind(images, accuracy, seeds, seed_effect=1.0 if seeds > 1 else 0.0)
    for seeds, seed_effect, pattern in product((1, 2, 3, 5), (0.0, 1.0, 4.0, 15.0), ("equal", "unequal")):
        if seed_effect or pattern == "equal":
            yield Kind(300, 0.9, seeds, seed_effect, pattern)
    for images, seeds in product((60, 1000), (2, 3)):
        yield Kind(images, 0.5, seeds, 15.0, "unequal")
        yield Kind(images, 0.975, seeds, 4.0, "unequal")
        yield Kind(images, 0.9, seeds, 8.0, "unlucky")
    for images, group, seeds in product((30, 60, 300, 1000), (3, 10), (1, 3)):
        yield Kind(images, 0.9, seeds, 1.0, group=group)
        if images in (60, 300):
            yield Kind(images, 0.975, seeds, 1.0, group=group)
    for images, effect, (seeds, seed_effect) in product(
        (60, 300, 1000), (1.0, 3.0, 8.0), ((1, 0.0), (3, 1.0), (5, 1.0))
    ):
        yield Kind(images, 0.9, seeds, seed_effect, effect=effect)
    for images, effect in product((60, 300, 1000), (0.0, 8.0)):
        yield Kind(images, 0.9, 3, 1.0, effect=effect, same=True)
        yield Kind(images, 0.975, 1, 0.0, effect=min(effect, 1.0), same=True)


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
    contrasts = merged_runs(np.array(rows), runs)
    return contrasts[distinct(contrasts)[0]]


def drawn(kind: Kind, random: np.random.Generator) -> tuple[NDArray[np.bool_], Floats, Integers | None]:
    """Return answers (8, S, N), the true accuracies (8,), and groups (N,)."""
    groups = np.arange(kind.images) // kind.group if kind.group > 1 else None

    def varied(deviation: float, *shape: int) -> Floats:
        own = random.normal(0, deviation, (*shape, kind.images))
        if groups is None:
            return own
        shared = random.normal(0, deviation, (*shape, groups[-1] + 1))[..., groups]
        return np.asarray(np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own)

    deviations = np.full(8, kind.seed_effect / 100 / 0.3989)
    if kind.pattern == "unequal":
        deviations[1::2] /= 7
    up = 1 if kind.accuracy + kind.effect / 100 < 0.995 else -1
    means = np.where(AUGMENTED, kind.accuracy + up * kind.effect / 100, kind.accuracy)
    if kind.pattern == "unlucky":
        fails = random.random((8, kind.seeds)) < 1 / 6
        seed_effect = -1.0 * fails * deviations[:, None] * 3
        grid = [np.where(np.arange(2) == 0, 0, -3 * deviations[0]), np.array([5 / 6, 1 / 6])]
    else:
        seed_effect = random.normal(0, 1, (8, kind.seeds)) * deviations[:, None]
        grid = []
    level = np.where(means < 1, ndtri(means) * np.sqrt(1 + deviations**2 * (kind.pattern != "unlucky")), 40)
    true = ndtr(level[:, None] + seed_effect).mean(axis=1) if kind.seeds == 1 else means
    if grid and kind.seeds > 1:
        true = (ndtr(level[:, None] + grid[0]) * grid[1]).sum(axis=1)
    sums = (
        varied(IMAGE)
        + level[:, None, None]
        + varied(INTERACTION, 8, 1)
        + seed_effect[..., None]
        + varied(RESIDUAL, 8, kind.seeds)
    )
    correct = sums > 0
    if kind.same:
        correct[TUNED * (1 - NETWORK) == 1] = correct[(1 - TUNED) * (1 - NETWORK) == 1]
        true[TUNED * (1 - NETWORK) == 1] = true[(1 - TUNED) * (1 - NETWORK) == 1]
    return correct, true, groups


def outcome(kind: Kind, random: np.random.Generator) -> Outcome:
    """Return what the report of one simulated study says."""
    correct, true, groups = drawn(kind, random)
    runs = np.where(TUNED * (1 - NETWORK) * kind.same, np.arange(8) - 2, np.arange(8))
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


def _held(found: Intervals, true: Floats) -> NDArray[np.bool_]:
    return np.asarray((found.low - 1e-9 <= true) & (true <= found.high + 1e-9))


def simulated(number: int, kind: Kind, studies: int) -> dict[str, float | None]:
    """Return the means of so many studies' outcomes, in per cent or points; None where there is nothing to find."""
    random = np.random.default_rng([number, 31])
    rows = np.array([outcome(kind, random) for _ in range(studies)], np.float64)
    means = {name: float(values.mean()) for name, values in zip(Outcome._fields, rows.T, strict=True)}
    scaled = {name: value if name.endswith("bias") else 100 * value for name, value in means.items()}
    return {name: None if np.isnan(value) else round(value, 2) for name, value in scaled.items()}


def main(studies: str = "1000", part: str = "") -> None:
    """Simulate so many studies of each kind; print and write how often their reports are wrong."""
    wanted = {number: kind for number, kind in enumerate(kinds()) if part in str(kind)}
    found = {}
    print("\t".join(["kind of study", *Outcome._fields]))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read where a process starts: the matrices are small
    with ProcessPoolExecutor(available_cores(), get_context("spawn")) as pool:
        waiting = {number: pool.submit(simulated, number, kind, int(studies)) for number, kind in wanted.items()}
        for number, kind in wanted.items():
            found[str(kind)] = waiting[number].result()
            print("\t".join([str(kind), *map(str, found[str(kind)].values())]), flush=True)
    shown = f"{worst_kinds(found, int(studies))}\n\n{power(found)}"
    write_results(RESULTS, {"studies": int(studies), "kinds": found}, shown)
    print(shown)


def worst_kinds(found: dict[str, dict[str, float | None]], studies: int) -> str:
    """Return a table of what is promised, and of the kind of study in which it is kept worst."""
    rows = []
    for name, (promise, low, high) in PROMISES.items():
        values = {kind: value for kind, of in found.items() if (value := of[name]) is not None}
        missed = {kind: max(low - value, value - high) for kind, value in values.items()}
        kind = max(missed, key=missed.__getitem__)
        kept = sum(each <= 0 for each in missed.values())
        rows.append([promise, f"{values[kind]:.1f}", kind if kept < len(values) else "all", f"{kept} of {len(values)}"])
    return table(
        ["promise (per cent or points)", "worst", "in studies of", f"kinds that keep it, {studies:,} studies each"],
        rows,
    )


def power(found: dict[str, dict[str, float | None]]) -> str:
    """Return a table of how many true effects are found, by test images, seeds and points."""
    kinds_of = {str(kind): kind for kind in kinds() if kind.effect and not kind.same}
    shown = {kind: found[name]["found"] for name, kind in kinds_of.items() if name in found}
    sizes = sorted({(kind.images, kind.seeds) for kind in shown if kind.images >= SHOWN_POWER})
    effects = sorted({kind.effect for kind in shown})
    by_size = {(kind.images, kind.seeds, kind.effect): value for kind, value in shown.items()}
    rows = [
        [str(images), str(seeds), *(f"{by_size[images, seeds, each]:.0f} %" for each in effects)]
        for images, seeds in sizes
    ]
    return table(["test images", "seeds", *(f"{each:g} points found" for each in effects)], rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
