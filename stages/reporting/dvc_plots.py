"""The numbers behind the page's charts as CSV files, which dvc.yaml's plots draw: also between branches."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.reporting.calibration import reliability
from stages.reporting.comparisons import confusion_of
from stages.reporting.page import Evidence, epochs
from stages.reporting.records import classes_of
from stages.reporting.search import losses
from stages.runtime.files import write_csv


def write_plots(folder: Path, evidence: Evidence) -> None:
    """Write one file for each plot of dvc.yaml; confusion, classes and reliability are the best run's."""
    write_csv(folder / "curves.csv", ["run", "epoch", "accuracy", "loss"], epochs(evidence))
    write_csv(folder / "confusion.csv", ["is", "taken_for"], _pairs(evidence))
    write_csv(folder / "classes.csv", ["class", "accuracy"], _classes(evidence))
    columns = ["when", "stated", "correct", "images", "low", "high"]
    write_csv(folder / "reliability.csv", columns, reliability(evidence.records, evidence.analysis))
    write_csv(folder / "search.csv", ["network", "trial", "state", "loss", "settings"], losses(evidence.trials))


def _pairs(evidence: Evidence) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each test image, as DVC's own template counts them."""
    names = classes_of(evidence.records)
    for record in evidence.records[evidence.analysis.best]:
        for name, counts in zip(names, confusion_of(record), strict=True):
            for other, count in zip(names, counts, strict=True):
                yield from ({"is": name, "taken_for": other} for _ in range(count))


def _classes(evidence: Evidence) -> Iterator[Mapping[str, Any]]:
    record = evidence.records[evidence.analysis.best][0]
    yield from ({"class": name, "accuracy": record["class_accuracy"][name]} for name in classes_of(evidence.records))
