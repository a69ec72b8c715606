"""All that the report says in numbers, worked out once: for its text, its page and the model card."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stages.reporting.comparisons import (
    Change,
    Comparison,
    Interval,
    Judgement,
    Name,
    Outcomes,
    contrasts,
    interval_at,
    judge_all,
)
from stages.reporting.records import Records, complexity
from stages.runtime.seeding import stream
from stages.runtime.study import Configuration
from stages.statistics.accuracies import accuracies, no_information_rate
from stages.statistics.best import best_configuration, model_confidence_set
from stages.statistics.contrasts import distinct, merged_runs
from stages.statistics.differences import SEEDS
from stages.statistics.estimates import ALPHA, Estimates, Floats
from stages.statistics.power import images_needed, seeds_needed, smallest_gain

GAINS = (0.05, 0.02)  # of which the report says what they would take

Judged = dict[Comparison | Change, Judgement]


class Decidable(NamedTuple):
    """What the median comparison of the study can decide, four times out of five."""

    smallest_gain: float  # a fraction; infinite where none
    images: dict[float, float]  # of each gain: test images that it takes, infinite where images cannot decide it
    seeds: dict[float, int | None]  # that it takes with the images there are


class Analysis(NamedTuple):
    """What the statistics say of a study."""

    outcomes: Outcomes
    balanced: dict[Configuration, Interval]  # accuracy; the balanced one, where classes are unequal
    best: Configuration
    corrected: Interval  # accuracy of the best by the study's measure, corrected for having been chosen
    contenders: list[Configuration]  # other runs that cannot be told from the best; each run once
    commonest: float  # what naming the commonest class, or any where classes count alike, gives by the measure
    judged: Judged
    decidable: Decidable | None  # None where there is nothing to compare

    def distinct(self) -> list[Configuration]:
        """Return the first configuration of each run."""
        outcomes = self.outcomes
        return [key for index, key in enumerate(outcomes.configurations) if outcomes.runs[index] == index]

    def label(self, configuration: Configuration) -> str:
        """Return the name of a run's first configuration, and what is the same run."""
        first, *others = self.outcomes.same_run(configuration)
        if not others:
            return str(first)
        different = [pair for pair in zip(first, others[0], strict=True) if pair[0] != pair[1]]
        if len(others) == len(different) == 1:
            return f"{first} ({different[0][0]} = {different[0][1]})"
        return f"{first} (= {', '.join(map(str, others))})"


def analyse(
    records: Records, claims: Mapping[Name, Floats | None], others: Mapping[str, float], outcomes: Outcomes
) -> tuple[Analysis, dict[Name, Judgement], dict[str, float]]:
    """Return what the statistics say, and the judgements of further claims and p-values, all adjusted together."""
    techniques = contrasts(records, outcomes)
    both: dict[Any, Floats | None] = {**techniques, **claims}
    judged, p_values = judge_all(outcomes, both, others)
    named = [one for one in both.values() if one is not None]
    tests = len(_distinct(outcomes, named)) + len(others)
    correct, groups, weights = outcomes.correct, outcomes.groups, outcomes.weights
    keys = outcomes.configurations
    order = sorted(range(len(keys)), key=lambda row: complexity(keys[row]))  # the first of several is the best
    best = best_configuration(correct[order], stream(0, "best"), groups, weights=weights)
    best = best._replace(configuration=order[best.configuration])
    may_be_best = model_confidence_set(correct, outcomes.runs, groups, weights=weights)
    balanced = accuracies(correct, groups, weights)
    alike = outcomes.same_run(keys[best.configuration])
    analysis = Analysis(
        outcomes,
        {key: interval_at(balanced, row) for row, key in enumerate(keys)},
        keys[best.configuration],
        Interval(best.accuracy, best.low, best.high),
        [key for row, key in enumerate(keys) if may_be_best[row] and outcomes.runs[row] == row and key not in alike],
        no_information_rate(outcomes.labels) if weights is None else 1 / len(np.unique(outcomes.labels)),
        {name: judged[name] for name in techniques},
        decidable(
            outcomes,
            [one for name, one in techniques.items() if isinstance(name, Comparison) and one is not None],
            tests,
        ),
    )
    return analysis, {name: judged[name] for name in claims}, p_values


def decidable(outcomes: Outcomes, pairs: list[Floats], tests: int) -> Decidable | None:
    """Return what the median of pairs can decide, each at its share of the level of all tests."""
    if not len(rows := _distinct(outcomes, pairs)):
        return None
    estimates, images, seeds = outcomes.estimates(rows), outcomes.correct.shape[2], outcomes.seeds
    alpha = ALPHA / max(1, tests)
    return Decidable(
        _median(smallest_gain(estimates, estimates.images, seeds, alpha)),
        {gain: images / estimates.images * _median(images_needed(estimates, gain, seeds, alpha)) for gain in GAINS},
        {gain: seeds_needed(_median_contrast(estimates), gain, estimates.images, alpha) for gain in GAINS}
        if seeds >= SEEDS
        else dict.fromkeys(GAINS),
    )


def _median(values: Floats) -> float:
    """Return the upper median: between two values a gain and its images would belong to no comparison, nor together."""
    return float(np.sort(values)[len(values) // 2])


def _distinct(outcomes: Outcomes, named: list[Floats]) -> Floats:
    """Return the contrasts that are no others twice, nor of a run with itself."""
    stacked = merged_runs(np.array(named).reshape(-1, len(outcomes.configurations)), outcomes.runs)
    return stacked[distinct(stacked)[0]]


def _median_contrast(estimates: Estimates) -> Estimates:
    """Return the estimates of the contrast whose variance is the median."""
    order = np.argsort(estimates.half_width())
    return estimates.rows([order[len(order) // 2]])
