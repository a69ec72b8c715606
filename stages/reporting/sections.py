"""The sections of the report, each a string of Markdown, "" or none where it has nothing to say."""

from collections import Counter
from statistics import stdev
from typing import Any

from stages.reporting.findings import AUGMENTATION, TUNING, Finding, formatted
from stages.reporting.markdown import duration, escaped, percent, points, table
from stages.reporting.records import Costs, best_of, classes_of, means, qualities
from stages.runtime.study import Configuration
from stages.statistics.comparisons import (
    BETTER,
    EQUAL,
    SAME,
    WORSE,
    Change,
    Comparison,
    Judgement,
    Records,
    accuracy_of,
)

# Seconds of training that the reference study reported, on photographs of birds: 20 classes, then 200
REFERENCE_SECONDS: dict[Configuration, tuple[int | None, int | None]] = {
    Configuration("resnet50", "default", "original"): (177, None),
    Configuration("resnet50", "default", "augmented"): (301, 42 * 60),
    Configuration("resnet50", "tuned", "original"): (106, None),
    Configuration("resnet50", "tuned", "augmented"): (218, None),
    Configuration("own_cnn", "default", "original"): (439, None),
    Configuration("own_cnn", "default", "augmented"): (965, 36 * 60),
}

Judged = dict[Comparison | Change, Judgement]


def results_section(scores: Records, costs: Costs) -> list[str]:
    """Return quality and time of each configuration of run, the best accuracy in bold."""
    names, several = qualities(scores), len(next(iter(scores.values()))) > 1
    best = means(scores[best_of(scores)], ["accuracy"])["accuracy"]
    rows = []
    for configuration, records in scores.items():
        averaged, took = means(records, names), costs[configuration]
        accuracy, sure = percent(averaged["accuracy"]), accuracy_of(scores, configuration)
        rows.append(
            [
                str(configuration),
                f"**{accuracy}**" if averaged["accuracy"] == best else accuracy,
                f"{100 * sure.low:.1f}–{100 * sure.high:.1f}",
                *([f"{100 * stdev(one['accuracy'] for one in records):.1f}"] if several else []),
                *([percent(averaged["top5_accuracy"])] if "top5_accuracy" in names else []),
                f"{averaged['macro_f1']:.3f}",
                f"{averaged['loss']:.3f}",
                f"{took['best_epoch']:.0f} of {took['epochs']:.0f}",
                duration(took["seconds"]),
            ]
        )
    columns = ["run", "accuracy", "interval", *(["deviation"] if several else [])]
    columns += [*(["top-5"] if "top5_accuracy" in names else []), "macro F1", "loss", "best epoch", "training"]
    of = "other seeds and other test images" if several else "these very trainings and other test images"
    return [
        "## Results",
        table(columns, rows),
        f"The interval holds the accuracy that all images of the same kind would give, in 95 % of studies with {of}"
        " (Wilson)." + (" The deviation is that between seeds." if several else ""),
    ]


def worth_section(scores: Records, costs: Costs, judged: Judged) -> list[str]:
    """Return each pair of configurations that differ in one axis alone, and the mean of the pairs of each axis."""
    if all(each.verdict == SAME for each in judged.values()):
        return ["## What each technique was worth", tuning_line(judged), longer_line(costs)] if judged else []
    seeds = len(next(iter(scores.values())))
    over = "test images" if seeds == 1 else "seeds and test images"
    test = "exact McNemar test; Student's t for means" if seeds == 1 else "Student's t"
    return [
        "## What each technique was worth",
        worth_table(judged),
        f"Difference in test accuracy, in percentage points, all else equal, with its 95 % interval over {over}"
        f" (bootstrap), and how probable one as large would be if both were equally good ({test}; adjusted for all"
        " comparisons of this report by Holm's method). An interval within one point of zero is no difference worth a"
        " point. What would decide the undecided is what it takes four times out of five if the difference stays.",
        tuning_line(judged),
        longer_line(costs),
    ]


def worth_showing(judged: Judged) -> Judged:
    """Return judgements but those of the same runs, of which `tuning_line` tells, and means of a single pair."""
    pairs = Counter(name.change for name in judged if isinstance(name, Comparison))
    return {
        name: each
        for name, each in judged.items()
        if each.verdict != SAME and not (isinstance(name, Change) and pairs[name] == 1)
    }


def worth_table(judged: Judged) -> str:
    """Return a row for each comparison, and one in bold for each change."""
    rows = []
    for name, judgement in worth_showing(judged).items():
        gain, p = judgement.gain, judgement.p_value
        bounds, said = f"{points(gain.low)} to {points(gain.high)}", f"{p:.2g}"
        if isinstance(name, Change):
            rows.append([f"**{name}**", "**mean**", judgement.says, f"**{points(gain.mean)}**", bounds, said])
        else:
            same = ", ".join(value for axis, value in name.before._asdict().items() if axis != name.change.axis)
            rows.append([str(name.change), same, judgement.says, points(gain.mean), bounds, said])
        rows[-1].append(judgement.needed or "–")
    columns = ["technique", "with", "is", "points", "interval", "p", "would decide it"]
    if all(not judgement.needed for judgement in judged.values()):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return table(columns, rows, left=3)


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
        return "No trial was surely better on validation images than the defaults: tuned and default runs are the same."
    tuned = judged[TUNING]
    says = {BETTER: "are better", WORSE: "are worse", EQUAL: "make no difference worth a point"}
    said = says.get(tuned.verdict, "may be as good as the defaults") + (tuned.says.removeprefix(tuned.verdict))
    return (
        "Tuned hyperparameters were the best trial's on validation images, where none was better by construction. On"
        f" test images they {said}: {formatted(tuned.gain)} points."
        + "".join(f" For {name} tuned and default runs are the same." for name in kept)
    )


def longer_line(costs: Costs) -> str:
    """Say by how much augmented runs trained longer than original ones, "" where they did not."""
    longer: dict[str, float] = {}
    for configuration, took in costs.items():
        augmented = costs.get(configuration._replace(data=AUGMENTATION.after))
        if configuration.data == AUGMENTATION.before and augmented:
            ratio = shown(augmented) / shown(took)
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


def shown(cost: dict[str, Any]) -> float:
    """Return how many images a training was shown, each as often as it was."""
    return float(cost["images"] * cost["epochs"])


def calibration_section(scores: Records) -> list[str]:
    """Return how well calibrated each configuration of run is, before and after temperature scaling."""
    names = (
        "calibration_error",
        "temperature",
        "temperature_scaled_calibration_error",
        "loss",
        "temperature_scaled_loss",
    )
    rows = []
    for configuration, records in scores.items():
        error, temperature, scaled_error, loss, temperature_scaled_loss = means(records, names).values()
        rows.append([str(configuration), percent(error), f"{loss:.3f}", f"{temperature:.2f}", percent(scaled_error)])
        rows[-1].append(f"{temperature_scaled_loss:.3f}")
    return [
        "## Can the probabilities be believed?",
        table(["run", "calibration error", "loss", "temperature", "scaled error", "scaled loss"], rows),
        "The calibration error is how far, on average, the stated probability is from the share of right answers. Above"
        " 1, the temperature says that a network was too sure of itself; it is fitted on validation images, and the"
        " last columns are of the logits divided by it.",
    ]


def findings_section(found: list[Finding]) -> list[str]:
    """Return the published findings and what became of them here, where a network of that study took part."""
    if not found:
        return []
    return [
        "## The published study's findings",
        table(["finding", "here", "numbers"], [list(finding) for finding in found], left=3),
        "Gains are in points of accuracy with 95 % intervals. Confirmed or refuted takes three seeds, and a p below"
        " 0.05 after adjustment for all comparisons of this report.",
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


def cost_section(costs: Costs) -> list[str]:
    """Return what each configuration's training took of the machine."""
    rows = [
        [
            str(configuration),
            f"{record['device']}, {record['precision']}",
            f"{record['images']:,.0f}",
            f"{record['images_per_second']:.0f}",
            f"{record['parameters'] / 1e6:.2f} M",
            f"{record['peak_memory_megabytes']:,.0f} MB",
        ]
        for configuration, record in costs.items()
    ]
    libraries = sorted({record["libraries"] for record in costs.values()})
    return [
        "## Cost",
        table(["run", "device", "images", "images/s", "parameters", "peak memory"], rows, left=2),
        f"Trained with {'; with '.join(libraries)}.",
    ]


def classes_section(scores: Records) -> list[str]:
    """Return the classes that the best run knows worst, and what it takes them for."""
    best = best_of(scores)
    record = scores[best][0]  # of the first seed
    accuracy, confusion, names = record["class_accuracy"], record["confusion"], classes_of(scores)
    rows = []
    for name in sorted((name for name in names if accuracy[name] < 1), key=lambda name: (accuracy[name], name))[:10]:
        counts = list(confusion[names.index(name)])
        counts[names.index(name)] = 0
        taken_for = escaped(names[counts.index(max(counts))]) if any(counts) else "–"
        rows.append([escaped(name), taken_for, percent(accuracy[name])])
    if not rows:
        return []
    worst = table(["class", "most taken for", "accuracy"], rows, left=2)
    return ["## Classes", f"The classes that the best run, {best}, knows worst:", worst]
