"""The same commit gives the same bytes: all that a study computes, but for times, on the same number of threads."""

import hashlib
from pathlib import Path

import pytest

from helpers.projects import run
from tests.study import SEARCH, new_study

SPLITS = ("data/original/", "data/validation/", "data/test/", "data/augmented/")
COMPUTED = ("data/raw", "data/original", "data/validation", "data/test", "data/augmented", "data/hyperparameters")
COMPUTED += ("data/trained", "data/predictions", "data/report", "data/copies.parquet", "metrics")
SEARCHED = [f"trained-{kind}/{name}" for kind in ("default", "tuned") for name in (
    "history.csv", "source.json", "weights.safetensors")]  # fmt: skip
TUNED = ("default.json", "importances.csv", "trials.csv", "tuned.json", *SEARCHED)

# Told to Python by its own hook `sitecustomize`: a disk that lists what it holds the other way round
BACKWARDS = """
import os

listdir, scandir = os.listdir, os.scandir


class Scan:
    def __init__(self, *path):
        with scandir(*path) as entries:
            self.entries = iter(list(entries)[::-1])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.entries)

    def close(self):
        self.entries = iter(())


os.listdir = lambda *path: listdir(*path)[::-1]
os.scandir = Scan
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Hold a study of one network on drawn birds, of which nothing has run."""
    return new_study(
        tmp_path_factory.mktemp("study"),
        study__networks=["own_cnn"],
        study__data=["augmented"],
        dataset__source="synthetic",
        dataset__classes=4,
        dataset__synthetic={"species": 4, "images_per_class": 12, "image_size": 32},
        search=SEARCH | {"trials": 2},
        training__epochs=2,
    )


@pytest.fixture(scope="module")
def one_thread(study) -> dict[str, str]:
    """Compute all on one thread with one worker."""
    return forced(study, threads=1, workers=1)


@pytest.fixture(scope="module")
def two_threads(study, one_thread) -> dict[str, str]:
    """Compute all on two threads with one worker."""
    return forced(study, threads=2, workers=1)


def forced(folder: Path, *stages: str, threads: int, workers: int, **environment: str) -> dict[str, str]:
    """Compute stages, or all, anew; return the MD5 of each file but those of times."""
    variables = {"OMP_NUM_THREADS": threads, "STUDY_WORKERS": workers, **environment}
    # threads that wait asleep: where other programs keep the cores busy, ones that spin take ten times as long
    words = (f"{name}={value}" for name, value in {"OMP_WAIT_POLICY": "passive", **variables}.items())
    run("env", *words, "dvc", "repro", "-f", *stages, folder=folder)
    return digests(folder)


def digests(folder: Path) -> dict[str, str]:
    """Return the MD5 of each file that the study computed, by path, but those that hold times."""
    found = [path for name in COMPUTED for path in (folder / name, *sorted((folder / name).rglob("*")))]
    files = [path for path in found if path.is_file()]
    paths = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: md5(path.read_bytes()) for name, path in paths.items() if not holds_times(name)}


def md5(content: bytes) -> str:
    """Return the digest that dvc.lock would hold."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def holds_times(path: str) -> bool:
    """Say whether a file holds seconds, which nothing repeats."""
    costs = path.startswith("metrics/costs/") or path in (
        "metrics/cost.json",
        "metrics/report.md",
        "metrics/model-card.md",
    )
    return costs or path.endswith(("/timing.json", "/timings.json", "/index.html"))


def shards(files: dict[str, str]) -> dict[str, str]:
    """Return the files with images of their splits."""
    return {path: digest for path, digest in files.items() if path.startswith(SPLITS)}


def test_what_is_compared_is_all_that_counts(one_thread):
    """Every shard, hyperparameter, weight and score; the images that were drawn as well."""
    trained = [f"data/trained/own_cnn-{name}-augmented-1/" for name in ("default", "tuned")]
    predicted = [folder.replace("trained", "predictions") for folder in trained]
    assert {path for path in one_thread if not path.startswith("data/raw/")} == {
        *(f"{folder}00000.parquet" for folder in SPLITS),
        *(f"data/hyperparameters/own_cnn/{name}" for name in TUNED),
        *(f"{folder}{name}" for folder in trained for name in ("history.csv", "weights.safetensors")),
        *(f"{folder}{name}" for folder in predicted for name in ("examples.parquet", "predictions.parquet")),
        *(f"data/report/plots/{name}.csv" for name in ("classes", "confusion", "curves", "reliability")),
        *(f"metrics/runs/own_cnn-{name}-augmented-1.json" for name in ("default", "tuned")),
        "data/copies.parquet",
        "metrics/metrics.json",
    }
    assert sum(path.startswith("data/raw/") for path in one_thread) == 4 * 12


def test_one_thread_repeats_to_the_byte_with_more_workers(study, one_thread):
    """All stages once more, in new processes, on two workers instead of one: no byte differs."""
    assert forced(study, threads=1, workers=2) == one_thread


def test_two_threads_repeat_to_the_byte_with_more_workers(study, two_threads):
    """As on one thread: the number of threads is fixed, the number of workers is not."""
    assert forced(study, threads=2, workers=2) == two_threads


def test_images_and_splits_are_the_same_on_any_number_of_threads(one_thread, two_threads):
    """Drawing, splitting, resizing and augmenting compute no sum whose order threads could change."""
    assert shards(two_threads) == shards(one_thread)


def test_the_order_in_which_a_disk_lists_files_changes_nothing(study, tmp_path, one_thread):
    """Another file system than the one a study was made on lists other names first."""
    (tmp_path / "sitecustomize.py").write_text(BACKWARDS, encoding="utf-8")
    again = forced(study, "prepare", "augment", threads=1, workers=2, PYTHONPATH=str(tmp_path))
    assert shards(again) == shards(one_thread)
