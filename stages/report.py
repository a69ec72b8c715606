"""Stage report: put all runs side by side."""

from itertools import product
from typing import Any

from stages.lib.command import run_stage
from stages.lib.files import read_csv, read_json, write_json, write_text
from stages.lib.params import read
from stages.lib.runs import Run, Study
from stages.lib.tables import duration, percent, points, table

QUALITIES = ("accuracy", "top5_accuracy", "macro_f1", "loss")

# Seconds of training that the reference study reported, on photographs of birds: 20 classes, then 200
REFERENCE_SECONDS: dict[tuple[str, str, str], tuple[int | None, int | None]] = {
    ("resnet50", "default", "original"): (177, None),
    ("resnet50", "default", "augmented"): (301, 42 * 60),
    ("resnet50", "tuned", "original"): (106, None),
    ("resnet50", "tuned", "augmented"): (218, None),
    ("own_cnn", "default", "original"): (439, None),
    ("own_cnn", "default", "augmented"): (965, 36 * 60),
}

AXES = {
    "network": ("own_cnn", "resnet50"),
    "hyperparameters": ("default", "tuned"),
    "data": ("original", "augmented"),
}

SYNTHETIC = (
    "> The pictures are **drawn by this project** (source `synthetic`): these numbers show that the machinery works."
    " They say nothing about photographs; point `dataset` at some for that."
)

Records = dict[Run, dict[str, Any]]
LeftOut = dict[str, list[dict[str, str]]]  # the rows of data/skipped.csv and data/duplicates.csv


def main() -> None:
    """Put all runs side by side."""
    runs, source = read("study", Study).runs(), read("dataset.source", str)
    scores: Records = {run: read_json(f"metrics/runs/{run}.json") for run in runs}
    costs: Records = {run: read_json(f"metrics/costs/{run}.json") for run in runs}
    left_out = {name: read_csv(f"data/{name}.csv") for name in ("skipped", "duplicates")}
    write_json("metrics/metrics.json", nested({run: {name: scores[run][name] for name in QUALITIES} for run in runs}))
    write_json("metrics/cost.json", nested(costs))
    write_text("metrics/report.md", report(scores, costs, source, left_out))


def nested(records: Records) -> dict[str, Any]:
    """Return {network: {hyperparameters: {data: record}}}."""
    tree: dict[str, Any] = {}
    for run, record in records.items():
        tree.setdefault(run.network, {}).setdefault(run.hyperparameters, {})[run.data] = record
    return tree


def report(scores: Records, costs: Records, source: str, left_out: LeftOut) -> str:
    """Return the report as Markdown."""
    classes = len(next(iter(scores.values()))["class_accuracy"])
    pictures = next(iter(scores.values()))["pictures"]
    return (
        "\n\n".join(
            [
                "# Report",
                f"{classes} classes of source `{source}`; every run is scored on the same {pictures} test pictures;"
                f" guessing is right in {percent(1 / classes)} of them.",
                *left_out_lines(left_out),
                *([SYNTHETIC] if source == "synthetic" else []),
                "## Results",
                results_table(scores, costs),
                "## What each technique was worth",
                "Difference in test accuracy, in percentage points, all else equal.",
                worth_table(scores),
                "## Training times beside the reference study's",
                times_table(costs, classes),
                "The reference study trained on photographs of birds on other hardware, so compare rows with each other"
                " within a column.",
                "## Cost",
                cost_table(costs),
                "## Classes",
                classes_section(scores),
            ]
        )
        + "\n"
    )


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


def results_table(scores: Records, costs: Records) -> str:
    """Return quality and time of each run, the best accuracy in bold."""
    best = max(record["accuracy"] for record in scores.values())
    rows = []
    for run, record in scores.items():
        accuracy = percent(record["accuracy"])
        rows.append(
            [
                str(run),
                f"**{accuracy}**" if record["accuracy"] == best else accuracy,
                percent(record["top5_accuracy"]),
                f"{record['macro_f1']:.3f}",
                f"{record['loss']:.3f}",
                f"{costs[run]['best_epoch']} of {costs[run]['epochs']}",
                duration(costs[run]["seconds"]),
            ]
        )
    return table(["run", "accuracy", "top-5", "macro F1", "loss", "best epoch", "training"], rows)


def worth_table(scores: Records) -> str:
    """Return each pair of runs that differ in one axis alone, and the difference in accuracy."""
    rows = []
    for axis, (before, after) in AXES.items():
        for run, record in scores.items():
            other = run._replace(**{axis: after})
            if getattr(run, axis) == before and other in scores:
                same = ", ".join(value for name, value in run._asdict().items() if name != axis)
                gain = scores[other]["accuracy"] - record["accuracy"]
                rows.append([f"{after} instead of {before}", same, points(gain)])
    return table(["technique", "with", "points"], rows)


def times_table(costs: Records, classes: int) -> str:
    """Return the reference's times beside ours; a dash stands where there is no such run."""
    order = product(("resnet50", "own_cnn"), ("default", "tuned"), ("original", "augmented"))
    runs = [run for run in map(Run._make, order) if run in costs or run in REFERENCE_SECONDS]
    runs += [run for run in costs if run not in runs]
    rows = []
    for run in runs:
        small, large = REFERENCE_SECONDS.get(run, (None, None))
        ours = costs[run]["seconds"] if run in costs else None
        rows.append([str(run), *("–" if value is None else duration(value) for value in (small, large, ours))])
    return table(["run", "reference, 20 classes", "reference, 200 classes", f"ours, {classes} classes"], rows)


def cost_table(costs: Records) -> str:
    """Return what each run's training took of the machine."""
    rows = [
        [
            str(run),
            f"{record['pictures']:,}",
            f"{record['images_per_second']:.0f}",
            f"{record['parameters'] / 1e6:.2f} M",
            f"{record['peak_memory_megabytes']:,} MB",
            f"{record['device']}, {record['precision']}",
        ]
        for run, record in costs.items()
    ]
    return table(["run", "pictures", "images/s", "parameters", "peak memory", "device"], rows)


def classes_section(scores: Records) -> str:
    """Return the classes that the best run knows worst, and what it takes them for."""
    best = max(scores, key=lambda run: scores[run]["accuracy"])
    accuracy, confusion = scores[best]["class_accuracy"], scores[best]["confusion"]
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
