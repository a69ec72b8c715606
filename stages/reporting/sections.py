"""The sections of the report, each a string of Markdown, "" or none where it has nothing to say."""

from statistics import stdev
from typing import Any

import numpy as np

from stages.reporting.analysis import Analysis
from stages.reporting.comparisons import (
    class_estimates,
    confusion_of,
    is_head,
    is_pretrained,
)
from stages.reporting.costs import Costs
from stages.reporting.findings import Finding
from stages.reporting.markdown import bounds, duration, escaped, percent, table
from stages.reporting.records import Records, classes_of, means, metric_names
from stages.runtime.study import Configuration
from stages.statistics.differences import SEEDS

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
