"""A small study for the tests that run DVC, and what `dvc repro` does with it."""

import re
import shutil
from pathlib import Path

from helpers.projects import copy_project, run, set_params
from tests.conftest import PARAMS, write_images

SEARCH = {"trials": 1, "startup_trials": 1, "min_resource": 1}


def new_study(folder: Path, **values: object) -> Path:
    """Copy the project to `folder` with small settings, on images of its own; nothing has run. Then commit it."""
    copy_project(folder)
    shutil.copyfile(PARAMS, folder / "params.yaml")
    write_images(folder / "mine", {"crow": 7, "jay": 7, "rook": 7})
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    set_params(folder, search=SEARCH, training__epochs=1)
    set_params(folder, networks__resnet50={})  # as all are
    set_params(folder, **values)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit all that Git is to keep, under a name that needs no configuration."""
    run("git", "add", "-A", folder=folder)
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    run("git", *author, "commit", "-qm", "small study", "--allow-empty", folder=folder)


def restore(folder: Path, branch: str) -> Path:
    """Bring back all files, DVC's as well, as they were committed on a branch; what others left goes, as by `make`."""
    run("git", "checkout", "-qf", branch, folder=folder)
    run("git", "clean", "-qfd", folder=folder)
    run("dvc", "checkout", "-q", "-f", folder=folder)
    run("python", "-m", "stages.commands.check", folder=folder)
    return folder


def repro(folder: Path) -> list[str]:
    """Run `dvc repro`; return the stages that ran, sorted.

    Without the run cache: what another test has already computed counts as run here, whichever test comes first. On
    one thread: where other programs keep the cores busy, two that wait for each other take ten times as long.
    """
    printed = run("env", "OMP_NUM_THREADS=1", "dvc", "repro", "--no-run-cache", folder=folder)
    return sorted(re.findall(r"Running stage '(.+)'", printed))
