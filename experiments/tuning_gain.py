"""What tuning is worth: the own CNN's `tuned` minus its `default` on test images, from good defaults and from bad ones.

    python -m experiments.tuning_gain CUB_200_2011-20classes.tgz tiny-imagenet-20.tar

Ten studies of drawn birds and three of each archive (of folders, or of birds in the layout of the published archive),
each with a seed of its own, from 50 on: of drawn birds other images, of photographs other validation images, trainings
and search. They run with the settings of params.yaml, on original images. Then two studies of drawn birds for each way
in which their defaults are bad. Two studies run side by side, each on one thread. Writes
experiments/results/tuning_gain.json, of which docs/results.md is made.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from helpers.projects import ENVIRONMENT, copy_project, set_params, source_settings
from helpers.timing import write_results
from stages.reporting.markdown import percent, points, table
from stages.runtime.files import read_json

NETWORK, FIRST_SEED = "own_cnn", 50
DRAWN, OF_EACH_ARCHIVE, OF_EACH_FAULT = 10, 3, 2  # studies
STUDY: dict[str, Any] = {"study__networks": [NETWORK], "study__data": ["original"], "report__insight": False}
BAD = {
    "learning rate 10 times too high": {"networks__own_cnn__learning_rate": 2e-2},
    "learning rate 10 times too low": {"networks__own_cnn__learning_rate": 2e-4},
    "weight decay 100 times too high": {"networks__own_cnn__weight_decay": 5.0},
}
SIDE_BY_SIDE = 2


class Gain(NamedTuple):
    """The test accuracies of the default and the tuned run of a study, and what the search has changed."""

    default: float
    tuned: float
    changed: dict[str, Any]

    @property
    def worth(self) -> float:
        """What tuning was worth."""
        return self.tuned - self.default


def main(*archives: str) -> None:
    """Run all studies; print and keep what tuning was worth in them."""
    good = [(images, seed, "") for images in archives for seed in seeds(OF_EACH_ARCHIVE)]
    good += [("synthetic", seed, "") for seed in seeds(DRAWN)]
    studies = [*good, *(("synthetic", seed, fault) for fault in BAD for seed in seeds(OF_EACH_FAULT))]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        found = dict(zip(studies, threads.map(gain_of, *zip(*studies, strict=True)), strict=True))
    named = {(Path(images).name, seed, fault): gain for (images, seed, fault), gain in found.items()}
    shown = table_of(named)
    kept = [
        {"images": images, "seed": seed, "fault": fault, **gain._asdict()}
        for (images, seed, fault), gain in named.items()
    ]
    write_results("experiments/results/tuning_gain.json", kept, shown)
    print(shown)


def table_of(found: Mapping[tuple[str, int, str], Gain]) -> str:
    """Return the table of what tuning was worth from good defaults, by images, and from bad ones, by their fault."""
    by_images: dict[str, list[Gain]] = {}
    for (images, _, fault), gain in found.items():
        if not fault:
            by_images.setdefault(images, []).append(gain)
    rows = [
        [images, str(len(few)), with_interval([each.worth for each in few]), mean_default(few)]
        for images, few in by_images.items()
    ]
    gains = [each.worth for few in by_images.values() for each in few]
    rows.append(["all", str(len(gains)), f"{with_interval(gains)}, worst {points(min(gains))}", ""])
    for fault in BAD:
        bad = {key: gain for key, gain in found.items() if key[2] == fault}
        few, good = list(bad.values()), [found[images, seed, ""] for images, seed, _ in bad]
        rows.append([fault, str(len(few)), recovered(few, good), mean_default(few)])
    return table(["studies", "n", "tuned minus default, points", "default"], rows)


def seeds(count: int) -> range:
    """Return the seeds of so many studies, which nothing was chosen by."""
    return range(FIRST_SEED, FIRST_SEED + count)


def gain_of(images: str, seed: int, fault: str) -> Gain:
    """Run a study with a seed and perhaps bad defaults; return what tuning was worth."""
    with TemporaryDirectory(prefix="tuning_gain.") as temporary:
        folder = Path(temporary)
        copy_project(folder)
        set_params(folder, **STUDY, **source_settings(images, folder), **BAD.get(fault, {}))
        set_params(folder, seed=seed, study__seeds=[seed])
        runs = {kind: f"{NETWORK}-{kind}-original-{seed}" for kind in ("default", "tuned")}
        stages = [f"evaluate@{run}" for run in runs.values()]
        environment = ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
        subprocess.run(["dvc", "repro", "-q", *stages], cwd=folder, env=environment, check=True)
        records = {kind: read_json(folder / f"metrics/runs/{run}.json") for kind, run in runs.items()}
        default, tuned = (read_json(folder / f"data/hyperparameters/{NETWORK}/{kind}.json") for kind in runs)
    tried = records["default"] if "same_as" in records["tuned"] else records["tuned"]
    changed = {name: value for name, value in tuned.items() if default[name] != value}
    found = Gain(records["default"]["accuracy"], tried["accuracy"], changed)
    print(
        f"{Path(images).name}, seed {seed} {fault}: {percent(found.default)} {points(found.worth)} {changed}",
        flush=True,
    )
    return found


def mean_default(gains: Sequence[Gain]) -> str:
    """Return the mean accuracy of default runs."""
    return percent(float(np.mean([each.default for each in gains])))


def recovered(bad: Sequence[Gain], good: Sequence[Gain]) -> str:
    """Return what tuning is worth from bad defaults, and how many points these had lost to good ones."""
    lost = float(np.mean([each.default for each in good]) - np.mean([each.default for each in bad]))
    worth = points(float(np.mean([each.worth for each in bad])))
    return f"{worth}, where {100 * lost:.1f} were lost" if lost > 0 else f"{worth}, where nothing was lost"


def with_interval(gains: Sequence[float]) -> str:
    """Return the mean of gains in points, with its t-interval over studies."""
    mean, deviation = np.mean(gains), np.std(gains, ddof=1)
    half = t.ppf(0.975, len(gains) - 1) * deviation / np.sqrt(len(gains))
    return f"{points(float(mean))} ({points(float(mean - half))} to {points(float(mean + half))})"


if __name__ == "__main__":
    main(*sys.argv[1:])
