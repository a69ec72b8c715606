"""How strong offline augmentation is best: shift, hue, gamma and rotation, each off and twice as strong as it is set.

    python -m experiments.augmentation_strength CUB_200_2011-20classes.tgz

One study of the images (an archive of folders, or of birds in the layout of the published archive), of own_cnn with its
default settings, from three seeds. `dvc repro` runs once for each strength, as the recipe in
docs/guides/compare-studies.md does it with `dvc exp run --queue`: the copies, trainings and scores alone run again.
Writes experiments/results/augmentation_strength.json, of which docs/results.md is made.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from experiments.tuning_gain import with_interval
from helpers.projects import ENVIRONMENT, copy_project, set_params, source_settings
from helpers.timing import write_results
from stages.reporting.markdown import percent, table
from stages.runtime.files import read_json

NETWORK, SEEDS = "own_cnn", [1, 2, 3]
AS_SET: dict[str, Any] = {"shift": 0.1, "hue": 10, "gamma": [0.8, 1.25], "rotation": 15}
OTHERS: dict[str, tuple[Any, Any]] = {
    "shift": (0, 0.2),
    "hue": (0, 20),
    "gamma": ([1, 1], [0.64, 1.56]),
    "rotation": (0, 30),
}
NONE = {name: off for name, (off, _) in OTHERS.items()}


def main(archive: str) -> None:
    """Run the study with each strength; print and keep what it brings."""
    strengths = [AS_SET, *(AS_SET | {name: value} for name, values in OTHERS.items() for value in values), NONE]
    with TemporaryDirectory(prefix="augmentation_strength.") as temporary:
        folder = Path(temporary)
        make_study(archive, folder)
        original, *found = (
            accuracies(folder, "original", AS_SET),
            *(accuracies(folder, "augmented", each) for each in strengths),
        )
    rows = [
        [in_words(strength), percent(mean(reached)), with_interval(differences(reached, original))]
        for strength, reached in zip(strengths, found, strict=True)
    ]
    rows.insert(0, ["no copies", percent(mean(original)), ""])
    shown = table(["copies", "accuracy", "less no copies, points"], rows)
    kept = [{"strength": each, "accuracies": reached} for each, reached in zip(strengths, found, strict=True)]
    write_results("experiments/results/augmentation_strength.json", [{"original": original}, *kept], shown)
    print(shown)


def make_study(archive: str, folder: Path) -> None:
    """Set a study of own_cnn's default runs up in a folder."""
    copy_project(folder)
    set_params(folder, study__networks=[NETWORK], study__hyperparameters=["default"], study__seeds=SEEDS)
    set_params(folder, **source_settings(archive, folder))


def accuracies(folder: Path, data: str, strength: dict[str, Any]) -> list[float]:
    """Return the test accuracies of the runs on some data, of each seed."""
    set_params(folder, **{f"augment__{name}": value for name, value in strength.items()})
    runs = [f"{NETWORK}-default-{data}-{seed}" for seed in SEEDS]
    stages = [f"evaluate@{run}" for run in runs]
    subprocess.run(["dvc", "repro", "-q", *stages], cwd=folder, env=ENVIRONMENT, check=True)
    reached = [float(read_json(folder / f"metrics/runs/{run}.json")["accuracy"]) for run in runs]
    print(data, strength, reached, flush=True)
    return reached


def differences(some: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return what one has more than the other, seed by seed."""
    return [one - other for one, other in zip(some, others, strict=True)]


def in_words(strength: dict[str, Any]) -> str:
    """Return what differs from the strength as it is set."""
    changed = [f"{name} {value}" for name, value in strength.items() if value != AS_SET[name]]
    return "unaltered" if strength == NONE else ", ".join(changed) or "as set"


if __name__ == "__main__":
    main(sys.argv[1])
