"""Stage report: put all runs side by side."""

from collections.abc import Sequence
from itertools import product
from statistics import mean, stdev
from typing import Any

from stages.lib.command import run_stage
from stages.lib.comparisons import AXES, Comparison, Records, comparisons, effects, rightness
from stages.lib.evidence import interval
from stages.lib.files import read_csv, read_json, write_json, write_text
from stages.lib.findings import findings, shown
from stages.lib.params import read
from stages.lib.runs import Kind, Run, Study
from stages.lib.tables import duration, percent, points, table

QUALITIES = ("accuracy", "top5_accuracy", "macro_f1", "loss")

# Seconds of training that the reference study reported, on photographs of birds: 20 classes, then 200
REFERENCE_SECONDS: dict[Kind, tuple[int | None, int | None]] = {
    Kind("resnet50", "default", "original"): (177, None),
    Kind("resnet50", "default", "augmented"): (301, 42 * 60),
    Kind("resnet50", "tuned", "original"): (106, None),
    Kind("resnet50", "tuned", "augmented"): (218, None),
    Kind("own_cnn", "default", "original"): (439, None),
    Kind("own_cnn", "default", "augmented"): (965, 36 * 60),
}

SYNTHETIC = (
    "> The pictures are **drawn by this project** (source `synthetic`): these numbers show that the machinery works."
    " They say nothing about photographs; point `dataset` at some for that."
)

LeftOut = dict[str, list[dict[str, str]]]  # the rows of data/skipped.csv and data/duplicates.csv


def main() -> None:
    """Put all runs side by side."""
    study, source = read("study", Study), read("dataset.source", str)
    scores, costs = (by_kind(study, f"metrics/{name}") for name in ("runs", "costs"))
    left_out = {name: read_csv(f"data/{name}.csv") for name in ("skipped", "duplicates")}
    write_json("metrics/metrics.json", nested({kind: means(each, QUALITIES) for kind, each in scores.items()}))
    write_json("metrics/cost.json", nested({kind: cost(each) for kind, each in costs.items()}))
    write_text("metrics/report.md", report(scores, costs, source, left_out))


def by_kind(study: Study, folder: str) -> Records:
    """Return a folder's records of all runs of the study, those together that differ in their seed alone."""
    return {kind: [read_json(f"{folder}/{Run(*kind, seed)}.json") for seed in study.seeds] for kind in study.kinds()}


def means(records: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Return the mean over seeds of each of the named numbers."""
    return {name: mean(record[name] for record in records) for name in names}


def cost(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a training of this kind took, numbers as means over seeds."""
    if len(records) == 1:
        return records[0]
    return records[0] | means(records, [name for name, value in records[0].items() if not isinstance(value, str)])


def nested(records: dict[Kind, dict[str, Any]]) -> dict[str, Any]:
    """Return {network: {hyperparameters: {data: record}}}."""
    tree: dict[str, Any] = {}
    for kind, record in records.items():
        tree.setdefault(kind.network, {}).setdefault(kind.hyperparameters, {})[kind.data] = record
    return tree


def report(scores: Records, costs: Records, source: str, left_out: LeftOut) -> str:
    """Return the report as Markdown."""
    first = next(iter(scores.values()))
    classes, pictures, seeds = len(first[0]["class_accuracy"]), first[0]["pictures"], len(first)
    taken = {kind: cost(each) for kind, each in costs.items()}
    repeated = f" Each run was trained from {seeds} seeds; numbers are means." if seeds > 1 else ""
    parts = [
        "# Report",
        f"{classes} classes of source `{source}`; every run is scored on the same {pictures} test pictures; guessing is"
        f" right in {percent(1 / classes)} of them.{repeated}",
        *left_out_lines(left_out),
        *([SYNTHETIC] if source == "synthetic" else []),
        "## Results",
        results_table(scores, taken),
        "The interval holds 95 % of the accuracies that other test pictures of the same kind would have given"
        " (bootstrap)." + (" The deviation is that between seeds." if seeds > 1 else ""),
        "## What each technique was worth",
        worth_table(scores),
        "Difference in test accuracy, in percentage points, all else equal, with its 95 % interval over test pictures,"
        " and how probable one as large would be if both were equally good (exact McNemar test; several seeds: the"
        " lowest and the highest). Of twenty tests of equals, one falls below 0.05 by chance.",
        tuning_line(scores),
        "## The published study's findings",
        table(["finding", "here", "numbers"], [list(finding) for finding in findings(scores, costs)], left=3),
        "Gains are in points of accuracy with 95 % intervals, and confirmed or refuted where those leave no doubt;"
        " epochs are compared by their means alone.",
        "## Can the probabilities be believed?",
        calibration_table(scores),
        "The calibration error is how far, on average, the stated probability is from the share of right answers. Above"
        " 1, the temperature says that a network was too sure of itself; it is fitted on validation pictures, and the"
        " last columns are of the logits divided by it.",
        "## Training times beside the reference study's",
        times_table(taken, classes),
        "The reference study trained on photographs of birds on other hardware, so compare rows with each other within"
        " a column.",
        "## Cost",
        cost_table(taken),
        "## Classes",
        classes_section(scores),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def left_out_lines(left_out: LeftOut) -> list[str]:
    """Return a paragraph each for bad pictures and for copies, where there were any."""
    bad, copies = left_out["skipped"], left_out["duplicates"]
    dropped = sum(row["dropped"] == "True" for row in copies)
    lines = [f"Bad files that were skipped: {len(bad)}. data/skipped.csv lists them."] if bad else []
    if copies:
        lines.append(
            f"Pictures that stood in another split or class as well: {len(copies)}, of which {dropped} dropped."
            " data/duplicates.csv lists them."
        )
    return lines


def results_table(scores: Records, costs: dict[Kind, dict[str, Any]]) -> str:
    """Return quality and time of each kind of run, the best accuracy in bold."""
    averaged = {kind: means(each, QUALITIES) for kind, each in scores.items()}
    best = max(record["accuracy"] for record in averaged.values())
    several = len(next(iter(scores.values()))) > 1
    rows = []
    for kind, record in averaged.items():
        accuracy, sure = percent(record["accuracy"]), interval(rightness(scores[kind]))
        rows.append(
            [
                str(kind),
                f"**{accuracy}**" if record["accuracy"] == best else accuracy,
                f"{100 * sure.low:.1f}–{100 * sure.high:.1f}",
                *([f"{100 * stdev(one['accuracy'] for one in scores[kind]):.1f}"] if several else []),
                percent(record["top5_accuracy"]),
                f"{record['macro_f1']:.3f}",
                f"{record['loss']:.3f}",
                f"{costs[kind]['best_epoch']:.0f} of {costs[kind]['epochs']:.0f}",
                duration(costs[kind]["seconds"]),
            ]
        )
    columns = ["run", "accuracy", "interval", *(["deviation"] if several else []), "top-5", "macro F1", "loss"]
    return table([*columns, "best epoch", "training"], rows)


def worth_table(scores: Records) -> str:
    """Return each pair of kinds that differ in one axis alone, and the mean of the pairs of each axis."""
    rows = []
    pairs, gains = comparisons(scores), effects(scores)
    for axis, (before, after) in AXES.items():
        for pair in (pair for pair in pairs if pair.axis == axis):
            same = ", ".join(value for name, value in pair.before._asdict().items() if name != axis)
            low, high = (f"{bound(pair.p_values):.2g}" for bound in (min, max))
            p_value = low if low == high else f"{low} to {high}"
            gain = pair.difference
            bounds = f"{points(gain.low)} to {points(gain.high)}"
            rows.append([f"{after} instead of {before}", same, points(gain.mean), bounds, p_value])
        if axis in gains:
            gain = interval(gains[axis])
            bounds = f"{points(gain.low)} to {points(gain.high)}"
            rows.append([f"**{after} instead of {before}**", "**mean**", f"**{points(gain.mean)}**", bounds, ""])
    return table(["technique", "with", "points", "interval", "p"], rows)


def tuning_line(scores: Records) -> str:
    """Say whether the tuned hyperparameters, the best on validation by construction, are the better ones on test."""
    gains = effects(scores)
    if "hyperparameters" not in gains:
        return ""
    pairs = [pair for pair in comparisons(scores) if pair.axis == "hyperparameters"]
    networks = sorted({pair.after.network for pair in pairs})
    kept = [name for name in networks if all(same(scores, pair) for pair in pairs if pair.after.network == name)]
    if kept == networks:
        return "No trial was better on validation pictures than the defaults: tuned and default runs are the same."
    gain = interval(gains["hyperparameters"])
    says = "are better" if gain.low > 0 else "are worse" if gain.high < 0 else "may be as good as the defaults"
    return (
        "Tuned hyperparameters were the best trial's on validation pictures, where none was better by construction. On"
        f" test pictures they {says}: {shown(gain)} points."
        + "".join(f" For {name} no trial was better than the defaults." for name in kept)
    )


def same(scores: Records, pair: Comparison) -> bool:
    """Say whether both kinds of a pair came out the same to the last digit, because they were told the same."""
    return scores[pair.before] == scores[pair.after]


def calibration_table(scores: Records) -> str:
    """Return how well calibrated each kind of run is, before and after temperature scaling."""
    names = ("calibration_error", "temperature", "scaled_calibration_error", "loss", "scaled_loss")
    rows = []
    for kind, records in scores.items():
        error, temperature, scaled_error, loss, scaled_loss = means(records, names).values()
        rows.append([str(kind), percent(error), f"{loss:.3f}", f"{temperature:.2f}", percent(scaled_error)])
        rows[-1].append(f"{scaled_loss:.3f}")
    return table(["run", "calibration error", "loss", "temperature", "scaled error", "scaled loss"], rows)


def times_table(costs: dict[Kind, dict[str, Any]], classes: int) -> str:
    """Return the reference's times beside ours; a dash stands where there is no such run."""
    order = product(("resnet50", "own_cnn"), ("default", "tuned"), ("original", "augmented"))
    kinds = [kind for kind in map(Kind._make, order) if kind in costs or kind in REFERENCE_SECONDS]
    kinds += [kind for kind in costs if kind not in kinds]
    rows = []
    for kind in kinds:
        small, large = REFERENCE_SECONDS.get(kind, (None, None))
        ours = costs[kind]["seconds"] if kind in costs else None
        rows.append([str(kind), *("–" if value is None else duration(value) for value in (small, large, ours))])
    return table(["run", "reference, 20 classes", "reference, 200 classes", f"ours, {classes} classes"], rows)


def cost_table(costs: dict[Kind, dict[str, Any]]) -> str:
    """Return what each kind's training took of the machine."""
    rows = [
        [
            str(kind),
            f"{record['pictures']:,.0f}",
            f"{record['images_per_second']:.0f}",
            f"{record['parameters'] / 1e6:.2f} M",
            f"{record['peak_memory_megabytes']:,.0f} MB",
            f"{record['device']}, {record['precision']}",
        ]
        for kind, record in costs.items()
    ]
    return table(["run", "pictures", "images/s", "parameters", "peak memory", "device"], rows)


def classes_section(scores: Records) -> str:
    """Return the classes that the best run knows worst, and what it takes them for."""
    best = max(scores, key=lambda kind: means(scores[kind], ["accuracy"])["accuracy"])
    record = scores[best][0]  # of the first seed
    accuracy, confusion = record["class_accuracy"], record["confusion"]
    names = list(accuracy)
    rows = []
    for name in sorted(names, key=lambda name: (accuracy[name], name))[:10]:
        counts = list(confusion[names.index(name)])
        counts[names.index(name)] = 0
        taken_for = names[counts.index(max(counts))] if any(counts) else "–"
        rows.append([name, percent(accuracy[name]), taken_for])
    worst = table(["class", "accuracy", "most taken for"], rows)
    return f"The classes that the best run, {best}, knows worst:\n\n{worst}"


if __name__ == "__main__":
    run_stage(main)
