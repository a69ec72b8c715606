"""A small study for the tests that run DVC, and what `dvc repro` does with it."""

import re
from pathlib import Path

from benchmarks.studies import copy_project, run, set_params
from tests.conftest import write_pictures

SEARCH = {
    "trials": 1, "minutes": 0, "epochs": 1, "startup_trials": 1, "pruning_warmup_epochs": 0, "parallel_trials": 1,
}  # fmt: skip


def new_study(folder: Path, **values: object) -> Path:
    """Copy the project to `folder` with small settings, on pictures of its own; nothing has run. Then commit it."""
    copy_project(folder)
    write_pictures(folder / "mine", {"crow": 7, "jay": 7, "rook": 7})
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    set_params(folder, tune__own_cnn=dict(SEARCH), tune__resnet50=dict(SEARCH))  # two, or YAML writes an alias
    set_params(folder, networks__own_cnn__epochs=1, networks__resnet50__epochs=1)
    set_params(folder, **values)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit all that Git is to keep, under a name that needs no configuration."""
    run("git", "add", "-A", folder=folder)
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    run("git", *author, "commit", "-qm", "small study", "--allow-empty", folder=folder)


def restore(folder: Path, branch: str) -> Path:
    """Bring back all files, DVC's as well, as they were committed on a branch."""
    run("git", "checkout", "-qf", branch, folder=folder)
    run("git", "clean", "-qfd", folder=folder)
    run("dvc", "checkout", "-q", "-f", folder=folder)
    return folder


def repro(folder: Path) -> list[str]:
    """Run `dvc repro`; return the stages that ran, sorted.

    Without the run cache: what another test has already computed counts as run here, whichever test comes first. On
    one thread: where other programs keep the cores busy, two that wait for each other take ten times as long.
    """
    printed = run("env", "OMP_NUM_THREADS=1", "dvc", "repro", "--no-run-cache", folder=folder)
    return sorted(re.findall(r"Running stage '(.+)'", printed))
