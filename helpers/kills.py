"""A small study to interrupt, and its processes: what the experiment of kills and the tests of interruptions share."""

import hashlib
import time
from pathlib import Path

import psutil

from helpers.projects import copy_project, run, set_params

RUN = "own_cnn-default-original-1"
STAGE = f"train@{RUN}"
OUTPUTS = ("weights.safetensors", "graph.onnx", "history.csv")
EPOCHS = 8


def make_study(folder: Path) -> None:
    """Copy the project, shrink its settings, and run what comes before training."""
    copy_project(folder)
    set_params(folder, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    set_params(folder, dataset__classes=4)
    set_params(folder, dataset__synthetic={"species": 4, "images_per_class": 60, "image_size": 64})
    set_params(folder, search__trials=1, networks__own_cnn__epochs=EPOCHS)
    repro(folder, "tune@own_cnn")


def repro(folder: Path, stage: str = STAGE) -> str:
    """Run a stage and what it needs to the end; return what it printed."""
    return run("dvc", "repro", stage, folder=folder)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def processes_left(folder: Path) -> list[psutil.Process]:
    """Return the processes that still work in a folder after 10 s, or none as soon as all have ended."""
    until = time.monotonic() + 10
    while (left := processes_in(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each output of the training."""
    trained = folder / "data/trained" / RUN
    return {name: hashlib.sha256((trained / name).read_bytes()).hexdigest() for name in OUTPUTS}
