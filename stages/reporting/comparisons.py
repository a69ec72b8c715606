"""What changing one axis of the study was worth, all else equal, and what may be said of it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.reporting.records import Records, classes_of
from stages.runtime.study import Configuration
from stages.statistics.accuracies import Intervals, class_accuracies, equal_classes
from stages.statistics.contrasts import distinct, mean_gain, merged_runs, pair_contrasts
from stages.statistics.differences import SEEDS, judge
from stages.statistics.estimates import Estimates, Floats, Integers, estimate

Name = TypeVar("Name", bound=Hashable)

BETTER, WORSE, EQUAL, SAME, UNDECIDED = "better", "worse", "no difference worth a point", "the same runs", "undecided"
NOT_TESTED = "not tested"


class Interval(NamedTuple):
    """A value, and the bounds between which the truth lies in 95 % of all studies."""

    mean: float
    low: float
    high: float


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

    gain: Interval  # those of a report hold all together
    p_value: float  # adjusted for all comparisons of the report
    verdict: str
    seeds: int
    chance: float = 0.5  # that the gain is above zero, of this comparison alone

    @property
    def verdict_in_words(self) -> str:
        """Return the verdict, with the number of trainings where they are too few to speak of more than themselves."""
        claims = self.verdict in (BETTER, WORSE, EQUAL)
        return self.verdict + in_trainings(self.seeds) if claims else self.verdict


PRETRAINED = Change("weights", "random weights", "pre-trained weights")


class Outcomes(NamedTuple):
    """Which test images each training of the study predicted correctly, and what the statistics need beside it."""

    configurations: list[Configuration]
    correct: NDArray[np.bool_]  # (configurations, seeds, images)
    runs: Integers  # (configurations,) the number of the first configuration that is the same run
    labels: Integers  # (images,)
    groups: Integers | None  # (images,) or None where no images belong together
    weights: Floats | None  # (images,) by which classes count alike, where they are unequal

    @property
    def seeds(self) -> int:
        """Return how many trainings each configuration had."""
        return int(self.correct.shape[1])

    @property
    def measure(self) -> str:
        """Return by what configurations are compared."""
        return "accuracy" if self.weights is None else "balanced accuracy"

    def estimates(self, contrasts: Floats) -> Estimates:
        """Return the estimates of contrasts (K, configurations), none of them all zero."""
        return estimate(self.correct, contrasts, self.groups, self.weights)

    def pairs(self, comparisons: Sequence[Comparison]) -> list[tuple[int, int]]:
        """Return comparisons as pairs of configurations' numbers."""
        return [(self.configurations.index(each.before), self.configurations.index(each.after)) for each in comparisons]

    def same_run(self, configuration: Configuration) -> list[Configuration]:
        """Return the configurations that are the same run as one, itself among them."""
        run = self.runs[self.configurations.index(configuration)]
        return [key for key, other in zip(self.configurations, self.runs, strict=True) if other == run]


def outcomes_of(records: Records) -> Outcomes:
    """Return the outcomes that a study's records hold."""
    keys, (first, *_) = list(records), next(iter(records.values()))
    labels = _numbers(first["labels"])
    correct = np.array([[_numbers(one["predicted"]) == labels for one in records[key]] for key in keys])
    runs = np.array([next(index for index, other in enumerate(keys) if records[other] == records[key]) for key in keys])
    groups = _numbers(first["groups"]) if first["groups"] else None
    weights = equal_classes(labels) if first["ranked_by"] == "balanced_accuracy" else None
    return Outcomes(keys, correct, runs, labels, groups, weights)


def _numbers(text: str) -> Integers:
    return np.array(text.split(), np.int64)


def confusion_of(record: Mapping[str, Any]) -> Integers:
    """Return how many test images of each class (row) were taken for each class (column)."""
    labels, predicted, classes = (
        _numbers(record["labels"]),
        _numbers(record["predicted"]),
        len(record["class_accuracy"]),
    )
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_estimates(confusion: Integers) -> list[tuple[int, int, Interval]]:
    """Return number, correct images and estimated accuracy of each class with test images, the best first."""
    correct, images = confusion.diagonal(), confusion.sum(axis=1)
    tested = np.flatnonzero(images)
    found = class_accuracies(correct[tested], images[tested])
    order = np.argsort(-found.mean, kind="stable")
    return [(int(tested[row]), int(correct[tested[row]]), interval_at(found, row)) for row in order]


def counts_of_test_images(records: Records) -> dict[str, int]:
    """Return how many test images of each class there are."""
    names, labels = classes_of(records), _numbers(next(iter(records.values()))[0]["labels"])
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def in_trainings(seeds: int) -> str:
    """Return what limits a claim that rests on fewer trainings than it takes."""
    return "" if seeds >= SEEDS else f" with {'one seed' if seeds == 1 else 'two seeds'} each"


def is_pretrained(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a run started from weights that were trained on other images."""
    return bool(records[0]["settings"].get("weights", "none") != "none")


def is_head(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a run is a head that was fitted to a frozen backbone's features at once: it has no epochs."""
    return bool(records[0]["settings"].get("freeze") == "backbone")


def comparisons(records: Records) -> dict[Change, list[Comparison]]:
    """Return what the study changes, with every pair of configurations that differ in it alone.

    Each network stands against the first; pre-trained networks against all others, which differ in more than weights.
    """
    first, *others = dict.fromkeys(configuration.network for configuration in records)
    changes = [Change("network", first, other) for other in others]
    changes += [Change("hyperparameters", "default", "tuned"), Change("data", "original", "augmented")]
    found = {change: _pairs(records, change) for change in changes}
    pretrained = [key for key in records if is_pretrained(records[key])]
    found[PRETRAINED] = [
        Comparison(PRETRAINED, before, after)
        for before in records
        for after in pretrained
        if before not in pretrained and before[1:] == after[1:]
    ]
    if len({(pair.before.network, pair.after.network) for pair in found[PRETRAINED]}) == 1 and len(others) == 1:
        del found[PRETRAINED]  # the comparison of the two networks says it
    return {change: pairs for change, pairs in found.items() if pairs}


def _pairs(records: Records, change: Change) -> list[Comparison]:
    pairs = ((key, key._replace(**{change.axis: change.after})) for key in records)
    return [
        Comparison(change, before, after)
        for before, after in pairs
        if getattr(before, change.axis) == change.before and after in records
    ]


def contrasts(records: Records, outcomes: Outcomes) -> dict[Comparison | Change, Floats | None]:
    """Return the weights of configurations for each comparison, and for each change as the mean of its pairs.

    None stands for a change that was never tried. Pairs of networks that differ in more than weights are not compared.
    """
    found: dict[Comparison | Change, Floats | None] = {}
    for change, pairs in comparisons(records).items():
        numbered = outcomes.pairs(pairs)
        if change != PRETRAINED:
            found |= dict(zip(pairs, pair_contrasts(numbered, outcomes.runs), strict=True))
        found[change] = mean_gain(numbered, outcomes.runs)
    return found


def judge_all(
    outcomes: Outcomes, named: Mapping[Name, Floats | None], others: Mapping[str, float] | None = None
) -> tuple[dict[Name, Judgement], dict[str, float]]:
    """Judge contrasts of configurations together, and `others`, p-values of another kind.

    Runs that are the same are not compared, and what is the same comparison counts once.
    """
    others, count = dict(others or {}), len(outcomes.configurations)
    tried = {name: contrast for name, contrast in named.items() if contrast is not None}
    stacked = merged_runs(np.array(list(tried.values())).reshape(-1, count), outcomes.runs)
    rows, numbers = distinct(stacked)
    p_values = np.array(list(others.values()))
    found, adjusted = judge(outcomes.estimates(stacked[rows]), p_values)
    verdicts = np.select([found.equal, found.better, found.worse], [EQUAL, BETTER, WORSE], UNDECIDED)
    judged = {name: Judgement(Interval(0.0, 0.0, 0.0), 1.0, NOT_TESTED, outcomes.seeds) for name in named}
    for name, row in zip(tried, numbers, strict=True):
        if row < 0:
            judged[name] = judged[name]._replace(verdict=SAME)
        else:
            gain, p_value = interval_at(found.gain, row), float(found.p_value[row])
            judged[name] = Judgement(gain, p_value, str(verdicts[row]), outcomes.seeds, float(found.chance[row]))
    return judged, dict(zip(others, adjusted.tolist(), strict=True))


def interval_at(intervals: Intervals, row: int) -> Interval:
    """Return one of several intervals."""
    return Interval(*(float(values[row]) for values in intervals))
