"""The findings of the published study, held against this one's numbers of the networks that it had."""

from collections.abc import Mapping
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtr

from stages.reporting.comparisons import (
    BETTER,
    NOT_TESTED,
    PRETRAINED,
    UNDECIDED,
    WORSE,
    Change,
    Interval,
    Judgement,
    Outcomes,
    comparisons,
    in_trainings,
)
from stages.reporting.markdown import points
from stages.reporting.records import Records
from stages.runtime.study import Configuration
from stages.statistics.contrasts import gain_difference, mean_gain
from stages.statistics.differences import SEEDS
from stages.statistics.estimates import ALPHA, Floats

CONFIRMED, REFUTED = "confirmed", "refuted"
PUBLISHED = ("own_cnn", "resnet50")
TUNING, AUGMENTATION = Change("hyperparameters", "default", "tuned"), Change("data", "original", "augmented")
TOPOLOGY = Change("network", *PUBLISHED)
EPOCHS = "epochs"  # the name of the comparison of epochs

Costs = Mapping[Configuration, list[dict[str, Any]]]  # of each configuration: a record of metrics/costs for each seed


class Finding(NamedTuple):
    """A claim, whether this study bears it out, and the numbers that say so."""

    claim: str
    verdict: str
    numbers: str


class Lead(NamedTuple):
    """By how much one change made more difference than another, or than none; of the published networks alone."""

    change: Change
    rival: Change | None


def published(records: Records) -> Records:
    """Return the records of the networks that the published study had, the own CNN first."""
    return {key: each for network in PUBLISHED for key, each in records.items() if key.network == network}


def leads(records: Records, outcomes: Outcomes) -> dict[Lead, Floats | None]:
    """Return the gains, and the differences between gains, that decide the published findings; none without them.

    What was never tried is None: a network whose tuned runs are its default ones says nothing of tuning.
    """
    known = published(records)
    pairs = {change: outcomes.pairs(each) for change, each in comparisons(known).items()} if known else {}
    pairs.pop(PRETRAINED, None)
    gained = {change: mean_gain(each, outcomes.runs) for change, each in pairs.items()}
    found: dict[Lead, Floats | None] = {Lead(change, None): each for change, each in gained.items()}
    if {AUGMENTATION, TUNING} <= gained.keys():
        networks = np.unique([key.network for key in outcomes.configurations], return_inverse=True)[1]
        sides = pairs[AUGMENTATION], pairs[TUNING]
        found[Lead(AUGMENTATION, TUNING)] = gain_difference(*sides, networks, outcomes.runs)
    if (topology := gained.get(TOPOLOGY)) is not None:  # for better or worse: the size of each
        means = outcomes.correct.mean(axis=(1, 2))
        for rival, gain in gained.items():
            if rival != TOPOLOGY and gain is not None:
                size = [np.sign(each @ means) or 1.0 for each in (topology, gain)]
                found[Lead(TOPOLOGY, rival)] = size[0] * topology - size[1] * gain
    return found


def epochs_p_value(costs: Costs) -> dict[str, float]:
    """Return how probable it is that ResNet50 and the own CNN differ as much in epochs by chance, with enough seeds.

    Student's t over seeds; epochs are whole numbers, hence no surer than rounding leaves them.
    """
    pairs = [(each, costs[other]) for key, each in costs.items() if (other := key._replace(network="own_cnn")) in costs
             and key.network == "resnet50"]  # fmt: skip
    if not pairs or len(pairs[0][0]) < SEEDS:
        return {}
    needed = np.array([[[one["epochs_to_95_percent"] for one in each] for each in pair] for pair in pairs])
    by_seed = (needed[:, 0] - needed[:, 1]).mean(axis=0)
    error = np.sqrt(max(by_seed.var(ddof=1), 1 / 6 / len(pairs)) / len(by_seed))
    return {EPOCHS: 2 * float(stdtr(len(by_seed) - 1, -abs(by_seed.mean()) / error))}


def findings(
    records: Records, costs: Costs, judged: Mapping[Lead, Judgement], p_values: Mapping[str, float]
) -> list[Finding]:
    """Return the published findings in their order; none where no network of the published study took part."""
    if not (known := published(records)):
        return []
    classes = len(next(iter(known.values()))[0]["class_accuracy"])
    return [
        augmentation_helps_most(judged),
        topology_decides(judged),
        resnet_needs_fewer_epochs(costs, p_values),
        Finding(
            "On 200 classes the gap to ResNet50 widens",
            NOT_TESTED,
            f"this study has {classes} classes: `make compare WITH=` the branch of one with"
            f" {20 if classes > 100 else 200}",
        ),
    ]


def augmentation_helps_most(judged: Mapping[Lead, Judgement]) -> Finding:
    """Say whether augmentation gained more than tuning did, and gained at all."""
    claim = "Augmentation is the technique that helps most"
    lead = Lead(AUGMENTATION, TUNING)
    if lead not in judged or judged[lead].verdict == NOT_TESTED:
        needed = "it takes augmented and original, tuned and default runs of one network, tuned other than default"
        return Finding(claim, NOT_TESTED, needed)
    gain, rival, difference = judged[Lead(AUGMENTATION, None)], judged[Lead(TUNING, None)], judged[lead]
    numbers = (
        f"augmentation {formatted(gain.gain)}, tuning {formatted(rival.gain)}, difference {formatted(difference.gain)}"
    )
    return Finding(claim, verdict(gain, difference), numbers)


def topology_decides(judged: Mapping[Lead, Judgement]) -> Finding:
    """Say whether the network made more difference than each technique, for better or worse."""
    claim = "The topology decides"
    rivals = [judgement for lead, judgement in judged.items() if lead.change == TOPOLOGY and lead.rival]
    if not rivals:
        return Finding(claim, NOT_TESTED, "it takes both networks, and a technique switched on and off")
    network = formatted(judged[Lead(TOPOLOGY, None)].gain)
    least = formatted(min(each.gain for each in rivals))
    numbers = f"ResNet50 instead of the own CNN {network}; least lead over a technique {least}"
    return Finding(claim, verdict(*rivals), numbers)


def resnet_needs_fewer_epochs(costs: Costs, p_values: Mapping[str, float]) -> Finding:
    """Say which network came sooner to 95 % of its best validation accuracy."""
    claim = "ResNet50 needs fewer epochs"
    needed: dict[str, list[float]] = {}
    given: dict[str, set[int]] = {}
    for configuration, each in costs.items():
        needed.setdefault(configuration.network, []).extend(record["epochs_to_95_percent"] for record in each)
        given.setdefault(configuration.network, set()).update(record["epochs"] for record in each)
    if not {*PUBLISHED} <= needed.keys():
        return Finding(claim, NOT_TESTED, "it takes both networks, trained in epochs")
    own, resnet = mean(needed["own_cnn"]), mean(needed["resnet50"])
    numbers = f"epochs to 95 % of the best validation accuracy: ResNet50 {resnet:.1f}, own CNN {own:.1f}"
    if given["own_cnn"] != given["resnet50"]:
        longest = f"{max(given['resnet50'])} and {max(given['own_cnn'])}"
        return Finding(claim, UNDECIDED, f"{numbers}; but they were given {longest}, which is no fair race")
    if EPOCHS not in p_values:
        return Finding(claim, UNDECIDED, f"{numbers}; {SEEDS} seeds or more would say how much of it is chance")
    sure = p_values[EPOCHS] < ALPHA
    return Finding(claim, (CONFIRMED if resnet < own else REFUTED) if sure else UNDECIDED, numbers)


def verdict(*judged: Judgement) -> str:
    """Return confirmed where all are better, refuted where one is worse; of few trainings, that it was seen in them."""
    limits = in_trainings(judged[0].seeds)
    if any(each.verdict == WORSE for each in judged):
        return f"the opposite seen{limits}" if limits else REFUTED
    if all(each.verdict == BETTER for each in judged):
        return f"seen{limits}" if limits else CONFIRMED
    return UNDECIDED


def formatted(gain: Interval) -> str:
    """Return an interval of a difference in percentage points, e.g. +5.0 (+1.2 to +8.8)."""
    return f"{points(gain.mean)} ({points(gain.low)} to {points(gain.high)})"
