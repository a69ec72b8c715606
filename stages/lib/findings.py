"""The findings of the published study, held against this one's numbers."""

from collections.abc import Mapping
from statistics import mean
from typing import Any, NamedTuple

from stages.lib.comparisons import Records, effects
from stages.lib.evidence import Fractions, Interval, interval
from stages.lib.runs import Kind
from stages.lib.tables import points

CONFIRMED, REFUTED, UNDECIDED, NOT_TESTED = "confirmed", "refuted", "undecided", "not tested"


class Finding(NamedTuple):
    """A claim, whether this study bears it out, and the numbers that say so."""

    claim: str
    verdict: str
    numbers: str


def findings(records: Records, costs: Mapping[Kind, list[dict[str, Any]]]) -> list[Finding]:
    """Return the published findings in their order."""
    gains = effects(records)
    classes = len(next(iter(records.values()))[0]["class_accuracy"])
    return [
        augmentation_helps_most(gains),
        topology_decides(gains),
        resnet_needs_fewer_epochs(costs),
        Finding(
            "On 200 classes the gap to ResNet50 widens",
            NOT_TESTED,
            f"this study has {classes} classes: compare with one of {20 if classes > 100 else 200} on another branch",
        ),
    ]


def augmentation_helps_most(gains: dict[str, Fractions]) -> Finding:
    """Say whether augmentation gained more than tuning did, and gained at all."""
    claim = "Augmentation is the technique that helps most"
    if not {"data", "hyperparameters"} <= gains.keys():
        return Finding(claim, NOT_TESTED, "it takes augmented and original, tuned and default runs")
    gain, rival = interval(gains["data"]), interval(gains["hyperparameters"])
    lead = interval(gains["data"] - gains["hyperparameters"])
    numbers = f"augmentation {shown(gain)}, tuning {shown(rival)}, difference {shown(lead)}"
    return Finding(claim, verdict(gain, lead), numbers)


def topology_decides(gains: dict[str, Fractions]) -> Finding:
    """Say whether the network made more difference than each technique, for better or worse."""
    claim = "The topology decides"
    if "network" not in gains or len(gains) == 1:
        return Finding(claim, NOT_TESTED, "it takes both networks, and a technique switched on and off")
    network = interval(gains["network"])
    sizes = {axis: gain if gain.mean() > 0 else -gain for axis, gain in gains.items()}
    leads = [interval(sizes["network"] - size) for axis, size in sizes.items() if axis != "network"]
    name = "ResNet50 instead of the own CNN"
    return Finding(claim, verdict(*leads), f"{name} {shown(network)}; least lead over a technique {shown(min(leads))}")


def resnet_needs_fewer_epochs(costs: Mapping[Kind, list[dict[str, Any]]]) -> Finding:
    """Say which network came sooner to 95 % of its best validation accuracy."""
    claim = "ResNet50 needs fewer epochs"
    needed: dict[str, list[float]] = {}
    given: dict[str, set[int]] = {}
    for kind, each in costs.items():
        needed.setdefault(kind.network, []).extend(record["epochs_to_95_percent"] for record in each)
        given.setdefault(kind.network, set()).update(record["epochs"] for record in each)
    if not {"own_cnn", "resnet50"} <= needed.keys():
        return Finding(claim, NOT_TESTED, "it takes both networks")
    own, resnet = mean(needed["own_cnn"]), mean(needed["resnet50"])
    numbers = f"epochs to 95 % of the best validation accuracy: ResNet50 {resnet:.1f}, own CNN {own:.1f}"
    if given["own_cnn"] != given["resnet50"]:
        longest = f"{max(given['resnet50'])} and {max(given['own_cnn'])}"
        return Finding(claim, UNDECIDED, f"{numbers}; but they were given {longest}, which is no fair race")
    return Finding(claim, CONFIRMED if resnet < own else REFUTED if resnet > own else UNDECIDED, numbers)


def verdict(*leads: Interval) -> str:
    """Return confirmed where all intervals lie above zero, refuted where one lies below."""
    if any(lead.high < 0 for lead in leads):
        return REFUTED
    return CONFIRMED if all(lead.low > 0 for lead in leads) else UNDECIDED


def shown(gain: Interval) -> str:
    """Return an interval of a difference in percentage points, e.g. +5.0 (+1.2 to +8.8)."""
    return f"{points(gain.mean)} ({points(gain.low)} to {points(gain.high)})"
