"""The same commit gives the same bytes: all that a study computes, but for times, on the same number of threads."""

import shutil
from pathlib import Path

import pytest

from helpers.outputs import digests
from helpers.projects import run, set_params, write_weights
from tests.study import SEARCH, new_study

SPLITS = ("data/original/", "data/validation/", "data/test/", "data/augmented/")
FEATURES = ("original", "augmented", "validation", "test")
SETTINGS = ("search", "start", "training", *FEATURES)
TRAINED = ("graph.onnx", "history.csv", "weights.safetensors")
SEARCHED = ["default.json", "importances.csv", "trials.csv", "tuned.json"]
SEARCHED += [f"trained-{kind}/{name}" for kind in ("default", "tuned") for name in (*TRAINED, "source.json")]

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
    """Hold a study on drawn birds of a network that is trained, and of one with a frozen backbone; nothing has run."""
    folder = new_study(
        tmp_path_factory.mktemp("study"),
        study__networks=["own_cnn", "frozen_cnn"],
        study__data=["augmented"],
        dataset__source="synthetic",
        dataset__classes=4,
        dataset__synthetic={"species": 4, "images_per_class": 12, "image_size": 32},
        search=SEARCH | {"trials": 2},
        training__epochs=2,
    )
    shutil.copyfile(folder / "stages/networks/own_cnn.py", folder / "stages/networks/frozen_cnn.py")
    set_params(folder, networks__frozen_cnn=write_weights(folder, "frozen_cnn"))
    return folder


@pytest.fixture(scope="module")
def one_thread(study) -> dict[str, str]:
    """Compute all on one thread with one worker."""
    return forced(study, threads=1, workers=1)


@pytest.fixture(scope="module")
def two_threads(study, one_thread) -> dict[str, str]:
    """Compute all on two threads with two workers."""
    return forced(study, threads=2, workers=2)


def forced(folder: Path, *words: str, threads: int, workers: int, within: str = ".", **environment: str):
    """Compute stages, or all, anew; return the MD5 of each file but those of times."""
    variables = {"OMP_NUM_THREADS": threads, "STUDY_WORKERS": workers, **environment}
    # threads that wait asleep: where other programs keep the cores busy, ones that spin take ten times as long
    settings = (f"{name}={value}" for name, value in {"OMP_WAIT_POLICY": "passive", **variables}.items())
    run("env", *settings, "dvc", "repro", "-f", *words, folder=folder / within)
    return digests(folder)


def of_trainings(files: dict[str, str]) -> dict[str, str]:
    """Return the files that follow from training, or from features."""
    folders = ("data/features/", "data/hyperparameters/", "data/trained/", "data/predictions/", "metrics/runs/")
    return {path: digest for path, digest in files.items() if path.startswith(folders)}


def shards(files: dict[str, str]) -> dict[str, str]:
    """Return the files with images of their splits."""
    return {path: digest for path, digest in files.items() if path.startswith(SPLITS)}


def test_what_is_compared_is_all_that_counts(one_thread):
    """Every shard, feature, hyperparameter, weight and score; the images that were drawn as well."""
    networks = ("own_cnn", "frozen_cnn")
    of_run = {
        f"{kind}/{network}-{hyperparameters}-augmented-1"
        for kind in ("data/trained", "data/predictions", "metrics/runs")
        for network in networks
        for hyperparameters in ("default", "tuned")
    }
    found = {path for path in one_thread if not path.startswith("data/raw/")}
    assert {run for run in of_run if not any(path.startswith(run) for path in found)} == set()
    assert {path for path in found if not path.startswith(tuple(of_run))} == {
        *(f"{folder}00000.parquet" for folder in SPLITS),
        *(f"data/settings/{network}/{name}.json" for network in networks for name in SETTINGS),
        *(f"data/weights/{network}/start.json" for network in networks),
        *(f"data/weights/frozen_cnn/{name}" for name in ("graph.onnx", "weights.safetensors")),
        *(f"data/features/{network}/{images}/features.parquet" for network in networks for images in FEATURES),
        *(f"data/hyperparameters/{network}/{name}" for network in networks for name in SEARCHED),
        *(f"data/report/plots/{name}.csv" for name in ("classes", "confusion", "curves", "reliability", "search")),
        "data/copies.parquet",
        "data/doubtful.csv",
        "data/examples.parquet",
        *(f"data/insight/{name}" for name in ("images.parquet", "insight.json", "map.parquet")),
        "metrics/metrics.json",
    }
    assert {f"data/trained/own_cnn-default-augmented-1/{name}" for name in TRAINED} < found
    assert sum(path.startswith("data/raw/") for path in one_thread) == 4 * 12


def test_one_thread_repeats_to_the_byte_with_more_workers(study, one_thread):
    """All stages once more, from another folder, on two workers instead of one: no byte differs."""
    assert forced(study, "-P", threads=1, workers=2, within="docs") == one_thread


def test_two_threads_repeat_to_the_byte_with_fewer_workers(study, two_threads):
    """What trains, as on one thread: the number of threads is fixed, the number of workers is not."""
    stages = run("dvc", "stage", "list", "--name-only", folder=study).split()
    again = [stage for stage in stages if stage.startswith(("embed", "tune", "train", "evaluate"))]
    assert of_trainings(forced(study, "-s", *again, threads=2, workers=1)) == of_trainings(two_threads)


def test_images_and_splits_are_the_same_on_any_number_of_threads(one_thread, two_threads):
    """Drawing, splitting, resizing and augmenting compute no sum whose order threads could change."""
    assert shards(two_threads) == shards(one_thread)


def test_the_order_in_which_a_disk_lists_files_changes_nothing(study, tmp_path, one_thread):
    """Another file system than the one a study was made on lists other names first."""
    (tmp_path / "sitecustomize.py").write_text(BACKWARDS, encoding="utf-8")
    again = forced(study, "-s", "prepare", "augment", threads=1, workers=2, PYTHONPATH=str(tmp_path))
    assert shards(again) == shards(one_thread)
