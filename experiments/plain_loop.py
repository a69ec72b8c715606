"""The study on real photographs, with and without online augmentation, beside a plain training loop.

    python -m experiments.plain_loop tiny-imagenet-20.tar results/photographs

Makes a study of its own in a new folder, with the images of an archive or folder and settings for training long from
random weights on few images. There it runs, by `dvc repro`, own_cnn with three seeds and resnet50 with one; the
runs with default hyperparameters once more with online_augmentation.enabled: false and one seed, as published;
and the plain loop of experiments/ablation.py with three seeds. Prints one table and the seconds of each part, and keeps
each report. Run again after an interruption, it goes on.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from experiments.ablation import PLAIN
from helpers.projects import ENVIRONMENT, copy_project, run, set_params
from stages.reporting.markdown import duration, percent, table
from stages.runtime.files import read_json
from stages.runtime.runs import Run
from stages.runtime.study import Configuration, Study

SEEDS = [1, 2, 3]
EVERY_RUN = Study(
    networks=["own_cnn", "resnet50"], hyperparameters=["default", "tuned"], data=["original", "augmented"], seeds=[1]
)
DEFAULTS = EVERY_RUN.model_copy(update={"hyperparameters": ["default"]})
SETTINGS: dict[str, Any] = {
    "online_augmentation__mixup": 0.2,
    "online_augmentation__cutmix": 1,
    "networks__own_cnn__epochs": 36,
    "networks__own_cnn__optimizer": "adamw",
    "networks__own_cnn__learning_rate": 1e-3,
    "networks__own_cnn__label_smoothing": 0,
    "networks__own_cnn__dropout": 0,
    "networks__own_cnn__ema_epochs": 2,
    "networks__own_cnn__search__trials": 6,
    "networks__own_cnn__search__startup_trials": 3,
    "networks__own_cnn__search__min_resource_epochs": 6,
    "networks__resnet50__epochs": 5,
    "networks__resnet50__search__trials": 2,
}
NO_SEARCH = {
    "networks__own_cnn__search__trials": 1,
    "networks__resnet50__search__trials": 1,
}  # where default hyperparameters alone are trained
PLAIN_OWN_CNN = (["own_cnn", "original"], PLAIN)
ONLINE, NONE = "online augmentation", "none"


def main(images: Path, folder: Path) -> None:
    """Run what has not run yet of each part; print the table."""
    if not (folder / "params.yaml").exists():
        folder.mkdir(parents=True)
        copy_project(folder)
        set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path=str(images))
        set_params(folder, **SETTINGS)
    own_only = {"study__networks": ["own_cnn"]}
    found: dict[tuple[str, str], list[float]] = {}
    for way, study, own_seeds in ((ONLINE, EVERY_RUN, SEEDS), (NONE, DEFAULTS, SEEDS[:1])):
        set_params(folder, **SETTINGS | (NO_SEARCH if study is DEFAULTS else {}))
        set_params(folder, online_augmentation__enabled=way == ONLINE, study__hyperparameters=study.hyperparameters)
        if len(own_seeds) > 1:
            set_params(folder, study__seeds=own_seeds, **own_only)
            repro(folder, f"{way}, own_cnn")
        set_params(folder, study__networks=study.networks, study__seeds=[1])
        repro(folder, f"{way}, both")
        for configuration in study.configurations():
            seeds = own_seeds if configuration.network == "own_cnn" else [1]
            found[way, str(configuration)] = [accuracy(folder, configuration, seed) for seed in seeds]
    set_params(folder, **SETTINGS, online_augmentation__enabled=True)
    print(run(sys.executable, "-m", "experiments.ablation", "own_cnn", "original", "1,2,3", PLAIN, folder=folder))
    plain = plain_loops(folder)
    print(formatted(found | {("", "plain loop, own_cnn"): plain}, mean(plain)))


def repro(folder: Path, part: str) -> None:
    """Run `dvc repro`; keep its report, and say how long it took."""
    start = time.monotonic()
    subprocess.run(["dvc", "repro"], cwd=folder, env=ENVIRONMENT, check=True)
    print(f"{part}: {duration(time.monotonic() - start)}", flush=True)
    shutil.copyfile(folder / "metrics/report.md", folder / f"{part}.md")


def plain_loops(folder: Path) -> list[float]:
    """Return the test accuracies of the plain loops among what experiments/ablation.py has trained."""
    trained = read_json(folder / "experiments/results/ablation.json")
    keys = {key: json.loads(key) for key in trained}
    return [trained[key]["accuracy"] for key, (*what, _, loop, _) in keys.items() if (what, loop) == PLAIN_OWN_CNN]


def accuracy(folder: Path, configuration: Configuration, seed: int) -> float:
    """Return the test accuracy of a run."""
    return float(read_json(folder / f"metrics/runs/{Run(*configuration, seed)}.json")["accuracy"])


def formatted(found: dict[tuple[str, str], list[float]], plain: float) -> str:
    """Return a line for each configuration: mean and deviation over seeds, and how many times the plain loop's mean."""
    rows = [
        [configuration, way, str(len(each)), percent(mean(each)), deviation(each), f"{mean(each) / plain:.2f}"]
        for (way, configuration), each in found.items()
    ]
    return table(["run", "augmentation in training", "seeds", "accuracy", "deviation", "times plain"], rows, left=2)


def deviation(accuracies: list[float]) -> str:
    """Return the standard deviation in percentage points; a dash for a single one."""
    return f"{100 * stdev(accuracies):.1f}" if len(accuracies) > 1 else "–"


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
