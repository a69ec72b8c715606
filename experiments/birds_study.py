"""The published study on its own birds, and what else was asked of them: a branch of one folder for each question.

    python -m experiments.birds study CUB_200_2011-20classes.tgz CUB_200_2011-128px.tgz FOLDER
    python -m experiments.birds study CUB_200_2011-20classes.tgz CUB_200_2011-128px.tgz FOLDER birds-20 birds-200

The second line runs these branches alone. Each branch holds its settings as one commit and its results as the next, so
that Git and DVC compare them: `dvc metrics diff birds-20 birds-200`, `make compare WITH=birds-200`. A branch that is
finished is not run again, one that was interrupted goes on; all share one cache. Prints the results of each branch and
how long it took.
"""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from experiments import imagenet_weights
from helpers.projects import ENVIRONMENT, copy_project, run, set_params
from helpers.timing import machine
from stages.reporting.markdown import duration

FINISHED = "Results"
ARCHIVES = {"20": "CUB_200_2011-20classes.tgz", "200": "CUB_200_2011-128px.tgz"}  # by how many classes a study takes
BIRDS: dict[str, Any] = {"dataset__source": "cub_200_2011", "dataset__cub_200_2011__checksum": "none"}
BIRDS["dataset__cub_200_2011__url"] = f"https://localhost/{ARCHIVES['200']}"  # never asked: the file is there
AS_PUBLISHED: dict[str, Any] = {  # no online augmentation, and copies are added steps
    "prepare__image_size": 64,
    "online_augmentation__enabled": False,
    "training__equal_steps": False,
    "networks__own_cnn__epochs": 20,
    "networks__own_cnn__optimizer": "adamw",
    "networks__own_cnn__learning_rate": 1e-3,
    "networks__own_cnn__dropout": 0.34,
    "networks__resnet50__epochs": 10,
}
FROM_IMAGENET: dict[str, Any] = {
    "prepare__image_size": 128,
    "study__networks": [imagenet_weights.NAME],
    "study__hyperparameters": ["default"],
    f"networks__{imagenet_weights.NAME}__epochs": 8,
    f"networks__{imagenet_weights.NAME}__freeze": "backbone",
}
ALL_CLASSES: dict[str, Any] = {"dataset__classes": "all", "study__hyperparameters": ["default"]}
FULL_SIZE: dict[str, Any] = {
    "dataset__cub_200_2011__url": f"https://localhost/{ARCHIVES['20']}",
    "prepare__image_size": 224,
}
AUGMENTED: dict[str, Any] = {"study__data": ["augmented"]}
BRANCHES: dict[str, dict[str, Any]] = {
    "birds-20": AS_PUBLISHED | {"study__seeds": [1, 2, 3]},
    "birds-200": AS_PUBLISHED | ALL_CLASSES | AUGMENTED,
    "birds-20-imagenet": FROM_IMAGENET | FULL_SIZE | {"study__seeds": [1, 2, 3]},
    "birds-200-imagenet": FROM_IMAGENET | ALL_CLASSES | {f"networks__{imagenet_weights.NAME}__input_size": "weights"},
}


def study(archives: dict[str, Path], folder: Path, *branches: str) -> None:
    """Run what is not finished of the branches that are named, or of all; print the results of each."""
    print(machine())
    if not (folder / "params.yaml").exists():
        make(archives, folder)
    for branch in branches or BRANCHES:
        taken = finish(folder, branch)
        print(f"\n## {branch}: {duration(taken) if taken else 'was finished'}\n", flush=True)
        print(run("git", "show", f"{branch}:metrics/report.md", folder=folder))


def make(archives: dict[str, Path], folder: Path) -> None:
    """Make a folder with the project, the archives, and EfficientNet-Lite0 with its weights, all of it committed."""
    folder.mkdir(parents=True, exist_ok=True)
    copy_project(folder)
    (folder / "data/downloads").mkdir(parents=True, exist_ok=True)
    for classes, archive in archives.items():
        shutil.copyfile(archive, folder / "data/downloads" / ARCHIVES[classes])
    imagenet_weights.main(folder)
    set_params(folder, **BIRDS)
    commit(folder, "The project, set to birds")


def finish(folder: Path, branch: str) -> float:
    """Run a branch to its end and commit the results; return the seconds, 0 where that was done before."""
    if branch not in run("git", "branch", "--format=%(refname:short)", folder=folder).split():
        run("git", "switch", "-q", "-c", branch, "main", folder=folder)
        set_params(folder, **BRANCHES[branch])
        commit(folder, "Settings")
    run("git", "switch", "-q", branch, folder=folder)
    if run("git", "log", "-1", "--format=%s", folder=folder).strip() == FINISHED:
        return 0.0
    start = time.monotonic()
    subprocess.run(["dvc", "repro"], cwd=folder, env=ENVIRONMENT, check=True)
    commit(folder, FINISHED)
    return time.monotonic() - start


def commit(folder: Path, message: str) -> None:
    """Commit all that Git does not ignore, as nobody in particular where the machine has no name for its user."""
    who = ["-c", "user.name=experiments", "-c", "user.email=experiments@localhost"]
    run("git", "add", "--all", folder=folder)
    run("git", *who, "commit", "-q", "-m", message, folder=folder)
