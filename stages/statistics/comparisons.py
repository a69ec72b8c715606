"""What changing one axis of the study was worth, all else equal, and how sure that is."""

from bisect import bisect_left
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import partial
from math import ceil, floor, log10
from statistics import mean
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.special import ndtri

from stages.runtime.study import Configuration
from stages.statistics.intervals import (
    CONFIDENCE,
    Grid,
    Interval,
    Spread,
    accuracy_interval,
    holm,
    interval,
    p_value,
    spread,
)

Records = dict[Configuration, list[dict[str, Any]]]  # of each configuration: a record of metrics/runs for each seed
Contrast = dict[Configuration, float]  # how much of each configuration's answers
Name = TypeVar("Name", bound=Hashable)

SEEDS = 3  # so many trainings it takes to say of a technique, and not of one training, that it is better
POINT = 0.01  # what is within one point of accuracy is not worth a choice
POWER = 0.8
MOST_IMAGES, MOST_SEEDS = 100_000, 30  # no sensible study of this kind has more

BETTER, WORSE, EQUAL, SAME, UNDECIDED = "better", "worse", "no difference worth a point", "the same runs", "undecided"


class Change(NamedTuple):
    """A value of an axis that the study tries instead of the one it starts from, e.g. tuned instead of default."""

    axis: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.after} instead of {self.before}"


class Comparison(NamedTuple):
    """Two configurations that differ in one change."""

    change: Change
    before: Configuration
    after: Configuration


class Judgement(NamedTuple):
    """A gain in accuracy, and what may be said of it."""

    gain: Interval
    p_value: float  # adjusted for all comparisons of the report
    verdict: str
    seeds: int
    needed: str  # images and seeds that would decide it, "" where it is decided

    @property
    def says(self) -> str:
        """Return the verdict, with the number of trainings where they are too few to speak of more than themselves."""
        return self.verdict if self.verdict in (UNDECIDED, SAME) else self.verdict + in_trainings(self.seeds)


def in_trainings(seeds: int) -> str:
    """Return what limits a claim that rests on fewer trainings than it takes."""
    return "" if seeds >= SEEDS else f" in {'one training' if seeds == 1 else 'two trainings'} each"


def changes(records: Records) -> list[Change]:
    """Return what the study changes: each network but the first against the first, tuning, and augmentation."""
    first, *others = dict.fromkeys(configuration.network for configuration in records)
    return [
        *(Change("network", first, other) for other in others),
        Change("hyperparameters", "default", "tuned"),
        Change("data", "original", "augmented"),
    ]


def comparisons(records: Records) -> list[Comparison]:
    """Return every pair of configurations that differ in one change alone."""
    found = []
    for change in changes(records):
        for before in records:
            after = before._replace(**{change.axis: change.after})
            if getattr(before, change.axis) == change.before and after in records:
                found.append(Comparison(change, before, after))
    return found


def contrasts(records: Records) -> dict[Comparison | Change, Contrast]:
    """Return each comparison, and each change as the mean of all its pairs, as what it takes of each configuration."""
    found: dict[Comparison | Change, Contrast] = {}
    for change in changes(records):
        pairs = [pair for pair in comparisons(records) if pair.change == change]
        found |= {pair: {pair.before: -1.0, pair.after: 1.0} for pair in pairs}
        if pairs:
            found[change] = combined([(1 / len(pairs), found[pair]) for pair in pairs])
    return found


def combined(parts: Iterable[tuple[float, Contrast]]) -> Contrast:
    """Return the sum of contrasts, each so many times."""
    total: Contrast = {}
    for factor, contrast in parts:
        for configuration, weight in contrast.items():
            total[configuration] = total.get(configuration, 0.0) + factor * weight
    return total


def grid_of(records: Records, contrast: Contrast) -> Grid:
    """Return a contrast of the answers of configurations, for each seed and image."""
    return np.asarray(sum(weight * answers(records[configuration]) for configuration, weight in contrast.items()))


def spread_of(records: Records, contrast: Contrast, pseudo: float = 1.0) -> Spread:
    """Return the spread of a contrast, with what seeds do learnt from all configurations of its networks.

    Three seeds of a run say little of how much seeds matter; four runs of a network say much more. Runs of one network
    are taken to vary alike between seeds, those of different networks each in its way (Satterthwaite, 1946).
    """
    own = spread(grid_of(records, contrast), pseudo)
    seeds, images = own.shape
    if seeds == 1:
        return own
    distinct: dict[tuple[str, ...], Configuration] = {}  # what is the same run is one run
    first = {
        key: distinct.setdefault((key.network, *(record["correct"] for record in each)), key)
        for key, each in records.items()
    }
    weights = combined((weight, {first[key]: 1.0}) for key, weight in contrast.items())
    noise: dict[str, list[float]] = {}
    for key in distinct.values():
        noise.setdefault(key.network, []).append(float(answers(records[key]).mean(axis=1).var(ddof=1)))
    parts = {
        network: (sum(weight**2 for key, weight in weights.items() if key.network == network) * mean(each), len(each))
        for network, each in noise.items()
    }
    variance = sum(part for part, _ in parts.values())
    if variance == 0:
        return own
    freedom = variance**2 / sum(part**2 / (runs * (seeds - 1)) for part, runs in parts.values())
    return own._replace(seeds=variance - own.both / images, freedom=freedom)


def accuracy_of(records: Records, configuration: Configuration) -> Interval:
    """Return a configuration's accuracy with its interval."""
    sure = spread_of(records, {configuration: 1.0}, pseudo=0.0)
    return accuracy_interval(answers(records[configuration]), sure)


def answers(records: Sequence[dict[str, Any]]) -> Grid:
    """Return 1.0 for each seed and test image whose class was predicted correctly, 0.0 for every other: (S, N)."""
    return np.array([np.frombuffer(record["correct"].encode(), np.uint8) == ord("1") for record in records], np.float64)


def same_runs(records: Records) -> set[Comparison | Change]:
    """Return the comparisons of runs that came out alike to the last digit, and the changes that have no others.

    They had the same settings: where no trial of a search was better, tuned is default.
    """
    pairs = comparisons(records)
    same: set[Comparison | Change] = {pair for pair in pairs if records[pair.before] == records[pair.after]}
    return same | {pair.change for pair in pairs if all(one in same for one in pairs if one.change == pair.change)}


def judge(
    grids: Mapping[Name, Grid],
    spreads: Mapping[Name, Spread],
    same: Collection[Name] = (),
    others: Mapping[str, float] | None = None,
) -> tuple[dict[Name, Judgement], dict[str, float]]:
    """Return judgements of gains (S, N) with their spreads, and `others`, p-values of another kind, adjusted.

    All p-values are adjusted together (Holm). Runs that are the same are not compared, and what is the same comparison,
    the other way round included, counts once.
    """
    others = dict(others or {})
    keys = {name: _key(grid) for name, grid in grids.items() if name not in same}
    raw: dict[Hashable, float] = {key: p_value(grids[name], spreads[name]) for name, key in keys.items()}
    raw.update(others)
    adjusted = dict(zip(raw, holm(list(raw.values())), strict=True))
    judged = {
        name: _judgement(grid, spreads[name], adjusted[keys[name]], len(raw))
        if name in keys
        else Judgement(interval(grid, spreads[name]), 1.0, SAME, len(grid), "")
        for name, grid in grids.items()
    }
    return judged, {name: adjusted[name] for name in others}


def judge_contrasts(
    records: Records,
    named: Mapping[Name, Contrast],
    same: Collection[Name] = (),
    others: Mapping[str, float] | None = None,
) -> tuple[dict[Name, Judgement], dict[str, float]]:
    """Judge contrasts of a study's records, as `judge` does."""
    grids = {name: grid_of(records, contrast) for name, contrast in named.items()}
    return judge(grids, {name: spread_of(records, contrast) for name, contrast in named.items()}, same, others)


def _key(grid: Grid) -> bytes:
    """Return what two equal comparisons share, also where one is the other the other way round."""
    rounded = np.round(grid, 9) + 0.0  # no -0.0
    return min(rounded.tobytes(), (0.0 - rounded).tobytes())


def _judgement(grid: Grid, sure: Spread, adjusted: float, tests: int) -> Judgement:
    gain = interval(grid, sure)
    verdict = verdict_of(gain, adjusted)
    needed = needed_to_decide(gain.mean, sure, tests) if verdict == UNDECIDED else ""
    return Judgement(gain, adjusted, verdict, len(grid), needed)


def verdict_of(gain: Interval, adjusted: float) -> str:
    """Return what may be said of a gain with its adjusted p-value."""
    if gain.low > -POINT and gain.high < POINT:
        return EQUAL
    if adjusted >= 1 - CONFIDENCE:
        return UNDECIDED
    return BETTER if gain.mean > 0 else WORSE


def needed_to_decide(gain: float, sure: Spread, tests: int) -> str:
    """Return how many test images, and seeds, would decide of a gain that stays as it is, four times out of five.

    Decided is that it is not zero, or that it is not worth a point, whichever takes less. Seeds are added only where
    ten times the images would not do.
    """
    seeds, images = sure.shape

    def decides(seeds: int, images: int) -> bool:
        freedom = sure.freedom * (seeds - 1) / max(1, sure.shape[0] - 1)
        then = sure._replace(shape=(seeds, images), freedom=freedom)
        margin = float(ndtri(POWER)) * then.error()
        apart = then.half_width((1 - CONFIDENCE) / tests) + margin < abs(gain)
        return apart or then.half_width() + margin < POINT - abs(gain)

    counts = range(max(SEEDS, seeds), MOST_SEEDS + 1) if seeds > 1 else [1]
    for most in (min(MOST_IMAGES, 10 * images), MOST_IMAGES):
        for count in counts:
            if decides(count, most):
                found = bisect_left(range(most), True, lo=images, key=partial(decides, count))
                return f"{_rounded_up(found):,} images" + (f", {count} seeds" if seeds > 1 else "")
    return f"over {MOST_IMAGES:,} images" + (f" or {MOST_SEEDS} seeds" if seeds > 1 else "")


def _rounded_up(number: float) -> int:
    """Return a number with two digits that count."""
    unit: int = 10 ** max(0, floor(log10(number)) - 1)
    return ceil(number / unit) * unit
