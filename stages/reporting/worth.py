"""What each technique was worth: lines of the answer, and the report's section with a row for each comparison."""

from collections import Counter
from statistics import mean
from typing import Any

from stages.reporting.analysis import Analysis, Judged
from stages.reporting.comparisons import (
    BETTER,
    EQUAL,
    NOT_TESTED,
    PRETRAINED,
    SAME,
    UNDECIDED,
    WORSE,
    Change,
    Comparison,
    Judgement,
)
from stages.reporting.costs import Costs
from stages.reporting.findings import AUGMENTATION, TUNING, formatted
from stages.reporting.markdown import points, table
from stages.statistics.differences import SEEDS

LIKELY = 0.9  # chance of being better from which on there is reason to prefer something


def worth_lines(judged: Judged) -> list[str]:
    """Return what helped and what did not, by verdict."""
    verdicts = {
        "Better": [BETTER], "Worse": [WORSE], "No difference worth a point": [EQUAL], "Undecided": [UNDECIDED],
        "Not tested": [SAME, NOT_TESTED],
    }  # fmt: skip
    changes = {name: each.verdict for name, each in judged.items() if isinstance(name, Change)}
    lines = []
    for verdict, kinds in verdicts.items():
        named = [change_with_gain(change, judged) for change, found in changes.items() if found in kinds]
        lines += [f"{verdict}: {'; '.join(named)}."] if named else []
    return lines


def change_with_gain(change: Change, judged: Judged) -> str:
    """Return a change with its gain, that in each network, and the trainings it was seen in where they are too few."""
    judgement = judged[change]
    if judgement.verdict in (SAME, NOT_TESTED):
        return f"{change}, whose runs are the same"
    limits = judgement.verdict_in_words.removeprefix(judgement.verdict).strip()
    gains = gains_by_network(change, judged)
    each = ", ".join(f"{network} {points(mean(found))}" for network, found in gains.items())
    within = f" ({each})" if len(gains) > 1 else ""
    return f"{change} {formatted(judgement.gain)} points{within}" + (f", {limits}" if limits else "")


def gains_by_network(change: Change, judged: Judged) -> dict[str, list[float]]:
    """Return what each pair of runs that differ gained by a change, but for one from network to network."""
    gains: dict[str, list[float]] = {}
    pairs = {name: each for name, each in judged.items() if isinstance(name, Comparison) and each.verdict != SAME}
    for pair, judgement in pairs.items():
        if pair.change == change and pair.before.network == pair.after.network:
            gains.setdefault(pair.after.network, []).append(judgement.gain.mean)
    return gains


def worth_section(costs: Costs, analysis: Analysis) -> list[str]:
    """Return each pair of configurations that differ in one axis alone, and the mean of the pairs of each axis."""
    judged, outcomes = analysis.judged, analysis.outcomes
    if not judged:
        return []
    if all(each.verdict in (SAME, NOT_TESTED) for each in judged.values()):
        return ["## What each technique was worth", tuning_line(judged), more_epochs_line(costs), longer_line(costs)]
    over = "seeds and test images" if outcomes.seeds > 1 else "test images"
    what = "techniques" if outcomes.seeds >= SEEDS else "trained networks"
    weights = (
        " Pre-trained and random weights belong to different networks, which differ in more than weights."
        if PRETRAINED in judged
        else ""
    )
    return [
        "## What each technique was worth",
        worth_table(judged),
        f"Differences in {outcomes.measure}, in percentage points, all else equal. The intervals, over {over}, hold all"
        " together in 95 % of studies; p is the probability of a difference this large if these"
        f" {what} were equally good, adjusted for all comparisons (Holm). No difference worth a point means that the"
        " true one is surely less than a point, either way. Pairs of identical runs are left out of means."
        f"{weights}",
        tuning_line(judged),
        more_epochs_line(costs),
        longer_line(costs),
    ]


def shown_judgements(judged: Judged) -> Judged:
    """Return judgements but those of the same runs, of which `tuning_line` tells, and means of a single pair."""
    pairs = Counter(
        name.change for name, each in judged.items() if isinstance(name, Comparison) if each.verdict != SAME
    )
    return {
        name: each
        for name, each in judged.items()
        if each.verdict != SAME and not (isinstance(name, Change) and pairs[name] == 1)
    }


def worth_table(judged: Judged) -> str:
    """Return a row for each comparison, and one in bold for each change."""
    rows = []
    for name, judgement in shown_judgements(judged).items():
        gain = judgement.gain
        numbers = [points(gain.mean), f"{points(gain.low)} to {points(gain.high)}", f"{judgement.p_value:.2g}"]
        if judgement.verdict == NOT_TESTED:
            numbers = ["–"] * 3
        if isinstance(name, Change):
            rows.append([f"**{name}**", "**mean**", judgement.verdict_in_words, f"**{numbers[0]}**", *numbers[1:]])
        else:
            same = ", ".join(value for axis, value in name.before._asdict().items() if axis != name.change.axis)
            rows.append([str(name.change), same, judgement.verdict_in_words, *numbers])
    return table(["technique", "with", "is", "points", "interval", "p"], rows, left=3)


def tuning_line(judged: Judged) -> str:
    """Say whether the tuned hyperparameters, the best on validation by construction, are the better ones on test."""
    if TUNING not in judged:
        return ""
    pairs = {name: each for name, each in judged.items() if isinstance(name, Comparison) and name.change == TUNING}
    networks = sorted({pair.after.network for pair in pairs})
    kept = [
        name
        for name in networks
        if all(each.verdict == SAME for pair, each in pairs.items() if pair.after.network == name)
    ]
    if kept == networks:
        return "The search has kept the defaults: tuned and default runs are the same."
    tuned = judged[TUNING]
    says = {BETTER: "are better", WORSE: "are worse", EQUAL: "make no difference worth a point"}
    said = says.get(tuned.verdict, "may be as good as the defaults") + (
        tuned.verdict_in_words.removeprefix(tuned.verdict)
    )
    return (
        "The search chose the tuned hyperparameters without the test images. On average over runs,"
        f" on test images they {said}: {formatted(tuned.gain)} points. Taken alone, without correction for the other"
        f" comparisons, they are better with a chance of {chance_in_words(tuned.chance)}: {preferred(tuned)}."
        + "".join(f" For {name} tuned and default runs are the same." for name in kept)
    )


def preferred(tuned: Judgement) -> str:
    """Say which hyperparameters to use, by the chance that tuned ones are the better ones."""
    if 1 - LIKELY < tuned.chance < LIKELY:
        return "either will do"
    better = "they are the better bet" if tuned.chance >= LIKELY else "the defaults are the better bet"
    return better + (", though not a proven one" if tuned.verdict == UNDECIDED else "")


def chance_in_words(chance: float) -> str:
    """Return a chance in per cent; nothing is sure."""
    if 0.01 <= chance <= 0.99:
        return f"{100 * chance:.0f} %"
    return "over 99 %" if chance > 0.5 else "below 1 %"


def more_epochs_line(costs: Costs) -> str:
    """Say for how many epochs tuned runs trained where default ones trained for another number, "" where none did."""
    epochs = {(each.network, each.hyperparameters): took["epochs"] for each, took in costs.items()}
    told = [
        f"{network} for {tuned:.0f} epochs instead of {before:.0f}"
        for network in dict.fromkeys(network for network, _ in epochs)
        if (tuned := epochs.get((network, TUNING.after), 0)) != (before := epochs.get((network, TUNING.before), tuned))
        and tuned
    ]
    return f"The search may change the length of a training: tuned runs trained {', '.join(told)}." if told else ""


def longer_line(costs: Costs) -> str:
    """Say by how much augmented runs trained longer than original ones, "" where they did not."""
    longer: dict[str, float] = {}
    for configuration, took in costs.items():
        augmented = costs.get(configuration._replace(data=AUGMENTATION.after))
        if configuration.data == AUGMENTATION.before and augmented:
            ratio = images_shown(augmented) / images_shown(took)
            if abs(ratio - 1) > 0.01:
                longer[f"{configuration.network}-{configuration.hyperparameters}"] = ratio
    if not longer:
        return ""
    each = ", ".join(f"{name} {ratio:.2f} times" for name, ratio in longer.items())
    if len(set(longer.values())) == 1:
        each = f"{next(iter(longer.values())):.2f} times"
    return (
        f"**Augmented runs trained longer than original ones: on {each} as many images.** Their gain is the"
        " worth of altered copies and of longer training together; `training.equal_steps: true` compares them at equal"
        " length."
    )


def images_shown(cost: dict[str, Any]) -> float:
    """Return how many images a training was shown, each as often as it was."""
    return float(cost["images"] * cost["epochs"])
