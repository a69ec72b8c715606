"""The sections of the report, each a string of Markdown, "" or none where it has nothing to say."""

from collections import Counter
from statistics import stdev
from typing import Any

import numpy as np

from stages.reporting.analysis import Analysis, Judged
from stages.reporting.comparisons import (
    BETTER,
    EQUAL,
    NOT_TESTED,
    PRETRAINED,
    SAME,
    WORSE,
    Change,
    Comparison,
    class_estimates,
    confusion_of,
    is_head,
    is_pretrained,
)
from stages.reporting.costs import Costs
from stages.reporting.findings import AUGMENTATION, TUNING, Finding, formatted
from stages.reporting.markdown import bounds, duration, escaped, percent, points, table
from stages.reporting.records import Records, classes_of, means, metric_names
from stages.runtime.study import Configuration
from stages.statistics.differences import SEEDS

LIKELY = 0.9  # chance of being better from which on there is reason to prefer something
NAMED = 3  # classes that one is taken for equally often
# Seconds of training that the reference study reported, on photographs of birds: 20 classes, then 200
REFERENCE_SECONDS: dict[Configuration, tuple[int | None, int | None]] = {
    Configuration("resnet50", "default", "original"): (177, None),
    Configuration("resnet50", "default", "augmented"): (301, 42 * 60),
    Configuration("resnet50", "tuned", "original"): (106, None),
    Configuration("resnet50", "tuned", "augmented"): (218, None),
    Configuration("own_cnn", "default", "original"): (439, None),
    Configuration("own_cnn", "default", "augmented"): (965, 36 * 60),
}


def results_section(records: Records, costs: Costs, analysis: Analysis) -> list[str]:
    """Return quality and time of each run, the best one in bold."""
    names, outcomes = metric_names(records), analysis.outcomes
    several, unequal = outcomes.seeds > 1, outcomes.weights is not None
    only_heads = all(map(is_head, records.values()))
    measure = "balanced_accuracy" if unequal else "accuracy"
    rows = []
    for key in analysis.distinct():
        averaged = means(records[key], [*names, "temperature_scaled_loss"])
        sure = analysis.balanced[key]
        rows.append(
            [
                analysis.label(key),
                f"**{percent(sure.mean)}**" if key == analysis.best else percent(sure.mean),
                bounds(sure.low, sure.high),
                *([f"{100 * stdev(one[measure] for one in records[key]):.1f}"] if several else []),
                *([percent(averaged["accuracy"])] if unequal else []),
                *([percent(averaged["top5_accuracy"])] if "top5_accuracy" in names else []),
                f"{averaged['macro_f1']:.3f}",
                f"{averaged['temperature_scaled_loss']:.3f}",
                *([] if only_heads else [best_epoch(records[key], costs[key])]),
                duration(costs[key]["seconds"]),
            ]
        )
    columns = ["run", outcomes.measure, "interval", *(["deviation"] if several else [])]
    columns += ["accuracy"] if unequal else []
    columns += [*(["top-5"] if "top5_accuracy" in names else []), "macro F1", "loss"]
    columns += [*([] if only_heads else ["best epoch"]), "training"]
    return ["## Results", table(columns, rows), results_note(records, analysis)]


def best_epoch(records: list[dict[str, Any]], took: dict[str, Any]) -> str:
    """Return which epoch was the best; a head has none."""
    return "–" if is_head(records) else f"{took['best_epoch']:.0f} of {took['epochs']:.0f}"


def results_note(records: Records, analysis: Analysis) -> str:
    """Return what the table of results means."""
    outcomes, best = analysis.outcomes, analysis.balanced[analysis.best]
    of = "networks trained like these" if outcomes.seeds >= SEEDS else "these trained networks"
    said = ""
    if (corrected := percent(analysis.corrected.mean)) != percent(best.mean):
        said += (
            f"The answer says {corrected} where the table has {percent(best.mean)}: the best of"
            f" {len(analysis.distinct())} runs owes part of its lead to luck with these test images. "
        )
    said += f"The interval holds the {outcomes.measure} of {of} on all images of the same kind, in 95 % of studies."
    if outcomes.groups is not None:
        said += " Images that belong together (of one group, or near duplicates) count together."
    if outcomes.seeds > 1:
        said += " The deviation is that between seeds."
        if any(map(is_head, records.values())):
            said += " Seeds of a frozen network's head classify alike: they draw the folds that set its probabilities."
    if outcomes.weights is not None:
        said += " Classes are unequal, so runs are ranked by balanced accuracy, in which each class counts the same."
    said += " The loss is that of the probabilities that `classify` gives. Times depend on what else the machine did."
    if any(map(is_head, records.values())):
        said += (
            " A frozen network's head is fitted in one step, without epochs; its time includes computing the features."
        )
    if any(len(outcomes.same_run(key)) > 1 for key in outcomes.configurations):
        said += " Identical runs share a row."
    names = dict.fromkeys(key.network for key in records if is_pretrained(records[key]))
    if names:
        said += f" Pre-trained ({', '.join(names)}): their weights may have seen some of the test photographs before."
    return said


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
        "The search chose the tuned hyperparameters without the test images. On"
        f" test images they {said}: {formatted(tuned.gain)} points. Taken alone, without correction for the other"
        f" comparisons, they are better with a chance of {chance_in_words(tuned.chance)}: {preferred(tuned.chance)}."
        + "".join(f" For {name} tuned and default runs are the same." for name in kept)
    )


def preferred(chance: float) -> str:
    """Say which hyperparameters to use where tuned ones are the better ones with a chance."""
    return "prefer them" if chance >= LIKELY else "prefer the defaults" if chance <= 1 - LIKELY else "either will do"


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


def findings_section(found: list[Finding]) -> list[str]:
    """Return the published findings and what became of them here, where a network of that study took part."""
    if not found:
        return []
    return [
        "## The published study's findings",
        table(["finding", "here", "numbers"], [list(finding) for finding in found], left=3),
        "Gains are in points of accuracy; their intervals hold all together. Confirmed or refuted takes three"
        " seeds, and a p below 0.05 after adjustment for all comparisons of this report.",
    ]


def times_section(costs: Costs, classes: int) -> list[str]:
    """Return the reference's times beside ours, where any run of the study has one; a dash stands for none."""
    if not costs.keys() & REFERENCE_SECONDS.keys():
        return []
    rows = []
    for configuration, record in costs.items():
        seconds = (*REFERENCE_SECONDS.get(configuration, (None, None)), record["seconds"])
        rows.append([str(configuration), *("–" if value is None else duration(value) for value in seconds)])
    return [
        "## Training times beside the reference study's",
        table(["run", "reference, 20 classes", "reference, 200 classes", f"ours, {classes} classes"], rows),
        "The reference study trained on photographs of birds on other hardware, so compare rows with each other within"
        " a column.",
    ]


def cost_section(records: Records, costs: Costs, analysis: Analysis) -> list[str]:
    """Return what each run's training took of the machine, features of a frozen network included."""
    rows = [
        [
            analysis.label(configuration),
            f"{record['device']}, {record['precision']}",
            f"{record['images']:,.0f}",
            f"{record['images_per_second']:.0f}",
            f"{record['parameters'] / 1e6:.2f} M",
            f"{record['peak_memory_megabytes']:,.0f} MB",
        ]
        for configuration, record in ((key, costs[key]) for key in analysis.distinct())
    ]
    heads = (
        " Heads learn from training and validation images together; their images/s are without the features."
        if any(map(is_head, records.values()))
        else ""
    )
    libraries = sorted({record["libraries"] for record in costs.values()})
    return [
        "## Cost",
        table(["run", "device", "images", "trained images/s", "parameters", "peak memory"], rows, left=2),
        f"Trained with {'; with '.join(libraries)}." + heads,
    ]


def classes_section(records: Records, analysis: Analysis) -> list[str]:
    """Return the classes that the best run knows worst, and what it takes them for."""
    confusion = confusion_of(records[analysis.best][0])  # of the first seed
    names = [escaped(name) for name in classes_of(records)]
    rows = []
    for label, correct, estimate in reversed(class_estimates(confusion)):
        if correct < (images := confusion[label].sum()):
            others = np.where(np.arange(len(names)) == label, 0, confusion[label])
            taken_for = ", ".join(names[at] for at in np.flatnonzero(others == others.max())[:NAMED])
            counted = [names[label], taken_for, f"{correct} of {images}", percent(estimate.mean)]
            rows.append([*counted, bounds(estimate.low, estimate.high)])
    if not rows:
        return []
    worst = table(["class", "most taken for", "correct", "estimate", "interval"], rows[:10], left=2)
    return [
        "## Classes",
        f"The classes that the best run, {analysis.best}, knows worst. Few images of a class say little: the fewer, the"
        " closer is its estimate to the accuracy over all classes.",
        worst,
    ]
