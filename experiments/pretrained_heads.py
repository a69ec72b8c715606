"""What the pre-trained network gives in seconds: accuracy on photographs, time of a first run and with another head.

    python -m experiments.pretrained_heads CUB_200_2011-20classes.tgz CUB_200_2011-128px.tgz:all tiny-imagenet-20.tar

Each archive is a study of its own, of efficientnet_lite0 alone, default and tuned, on original images, from three
seeds, which here are three ways to part the images into folds. `:all` takes all classes of an archive, `:9` the first
nine; else the first 20 count. Timed are the first `dvc repro`, and the next with another `head_shrinkage`. Writes
experiments/results/pretrained_heads.json, of which docs/results.md is made.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from helpers.projects import ENVIRONMENT, copy_project, set_params, source_settings
from helpers.timing import write_results
from stages.reporting.markdown import percent, table
from stages.runtime.files import read_json

NETWORK, SEEDS = "efficientnet_lite0", [1, 2, 3]


def main(archives: list[str]) -> None:
    """Run a study of each archive; print and keep what came of it."""
    measured = [measure(*archive.partition(":")[::2]) for archive in archives]
    columns = ["images", "classes", "test images", "default", "tuned", "first repro", "another head"]
    found = table(columns, [shown(each) for each in measured])
    write_results("experiments/results/pretrained_heads.json", measured, found)
    print(found)


def measure(archive: str, classes: str) -> dict[str, Any]:
    """Return the accuracies of a study of an archive, and its seconds."""
    with study_of(archive, classes, study__seeds=SEEDS) as folder:
        first = repro(folder)
        runs = {kind: [record(folder, kind, seed) for seed in SEEDS] for kind in ("default", "tuned")}
        set_params(folder, networks__efficientnet_lite0__head_shrinkage=0.45)
        again = repro(folder)
    one = runs["default"][0]
    return {
        "images": Path(archive).name,
        "classes": len(one["class_accuracy"]),
        "test_images": one["images"],
        **{f"{kind}_accuracy": [each["accuracy"] for each in records] for kind, records in runs.items()},
        "first_seconds": round(first, 1),
        "another_head_seconds": round(again, 1),
    }


@contextmanager
def study_of(archive: str, classes: str, **settings: object) -> Iterator[Path]:
    """Give a copy of the project whose study is of an archive, original images, and the pre-trained network alone."""
    with TemporaryDirectory(prefix="study.") as temporary:
        folder = Path(temporary)
        copy_project(folder)
        set_params(folder, **source_settings(archive, folder, int(classes) if classes.isdigit() else classes or 20))
        set_params(folder, study__networks=[NETWORK], study__data=["original"], **settings)
        yield folder


def record(folder: Path, hyperparameters: str, seed: int) -> dict[str, Any]:
    """Return what metrics/runs says of a run, or of the one that it is the same as."""
    found: dict[str, Any] = read_json(folder / f"metrics/runs/{NETWORK}-{hyperparameters}-original-{seed}.json")
    return record(folder, "default", seed) if "same_as" in found else found


def repro(folder: Path) -> float:
    """Run `dvc repro`; return its seconds."""
    start = time.perf_counter()
    subprocess.run(["dvc", "repro", "-q"], cwd=folder, env=ENVIRONMENT, check=True)
    return time.perf_counter() - start


def shown(measured: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    accuracies = (percent(mean(measured[f"{kind}_accuracy"])) for kind in ("default", "tuned"))
    times = (f"{measured[name]:.0f} s" for name in ("first_seconds", "another_head_seconds"))
    return [measured["images"], str(measured["classes"]), f"{measured['test_images']:,}", *accuracies, *times]


if __name__ == "__main__":
    main(sys.argv[1:])
