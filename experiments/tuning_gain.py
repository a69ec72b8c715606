"""What tuning is worth: the own CNN's `tuned` less its `default` on test images, over studies with other seeds.

    python -m experiments.tuning_gain synthetic 5 [SETTING=VALUE...]
    python -m experiments.tuning_gain synthetic 6-15
    python -m experiments.tuning_gain tiny-imagenet-20.tar 3
    python -m experiments.tuning_gain CUB_200_2011-128px.tgz 3

Each study has a seed of its own, 1 to 5 or 6 to 15: of drawn birds other images, of photographs other validation
images, trainings and search. It runs with the settings of params.yaml but for those that are named
(search.trials=12), on original images. Prints the difference for each study, and the mean with its t-interval. The
images are an archive of folders, or one of birds in the layout of the published archive, of which the first 20 classes
are taken.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from scipy.stats import t

from helpers.projects import ENVIRONMENT, copy_project, set_params, source_settings
from helpers.timing import machine
from stages.reporting.markdown import percent, points, table
from stages.runtime.files import read_json

RUNS = ("own_cnn-default-original", "own_cnn-tuned-original")
STUDY: dict[str, Any] = {"study__networks": ["own_cnn"], "study__data": ["original"]}


def main(images: str, seeds: range, changes: dict[str, Any]) -> None:
    """Run a study of the images for each seed; print what tuning was worth."""
    named = " ".join(f"{key}={value}" for key, value in changes.items()) or "default settings"
    print(f"{machine()}; {images}, {named}")
    gains: list[float] = []
    rows = []
    for seed in seeds:
        default, tuned = accuracies(images, seed, changes)
        gains.append(tuned - default)
        rows.append([str(seed), percent(default), points(gains[-1])])
        print(*rows[-1], flush=True)
    rows.append(["mean", "", with_interval(gains)])
    print(f"\n{table(['study', 'default', 'tuned less default, points'], rows)}")


def accuracies(images: str, seed: int, changes: dict[str, Any]) -> tuple[float, ...]:
    """Return the test accuracies of RUNS in a study with a seed."""
    with TemporaryDirectory(prefix="tuning_gain.") as temporary:
        folder = Path(temporary)
        copy_project(folder)
        set_params(folder, **STUDY, **source_settings(images, folder), **changes)
        set_params(folder, seed=seed, study__seeds=[seed])
        runs = [f"{run}-{seed}" for run in RUNS]
        stages = [f"evaluate@{run}" for run in runs]
        subprocess.run(["dvc", "repro", "-q", *stages], cwd=folder, env=ENVIRONMENT, check=True)
        return tuple(read_json(folder / f"metrics/runs/{run}.json")["accuracy"] for run in runs)


def seeds_of(word: str) -> range:
    """Return the seeds that the command line asks for: 1 to 5 as `5`, 6 to 15 as `6-15`."""
    first, _, last = word.rpartition("-")
    return range(int(first or 1), int(last) + 1)


def with_interval(gains: Sequence[float]) -> str:
    """Return the mean of gains in points, with its t-interval over studies."""
    mean, deviation = np.mean(gains), np.std(gains, ddof=1)
    half = t.ppf(0.975, len(gains) - 1) * deviation / np.sqrt(len(gains))
    return f"{points(float(mean))} ({points(float(mean - half))} to {points(float(mean + half))})"


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[3:])
    named = {setting.replace(".", "__"): yaml.safe_load(value) for setting, value in given.items()}
    main(sys.argv[1], seeds_of(sys.argv[2]), named)
