"""What a second of a search tells of the test accuracy that settings reach: by an early look, a training, or folds.

    python -m experiments.rank_correlation synthetic 24
    python -m experiments.rank_correlation CUB_200_2011-20classes.tgz 24

Makes the images of a study, and trains own_cnn with so many settings, drawn from the space of its search, in two
folds each. For every estimate that a search might go by: its seconds for one setting, and its rank correlation
(Spearman) over settings with the test accuracy of that setting, the mean of its two trainings. Writes
experiments/results/rank_correlation.json, of which docs/results.md is made.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr
from io import StringIO
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import optuna
from scipy.stats import spearmanr

from helpers.projects import ENVIRONMENT, copy_project, set_params, source_settings
from helpers.timing import write_results
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.common.prediction import predict
from stages.networks.common.settings import Search, config_from
from stages.networks.common.starting_point import read_starting_point
from stages.reporting.markdown import table
from stages.runtime.files import read_json
from stages.training.history import Epoch
from stages.training.loop import DivergedError, fit
from stages.tuning.results import WORST_LOSS
from stages.tuning.trial_history import Tuning

NETWORK, FOLDS, EARLY = "own_cnn", 2, 2  # EARLY: epochs of the defaults, as search.min_resource is


class Trained(NamedTuple):
    """What came of a fold: its best loss and accuracy on validation, the loss at an early look, and on test images."""

    loss: float
    accuracy: float
    early_loss: float
    early_seconds: float
    seconds: float
    test_accuracy: float


def sum_of(trained: list[Trained]) -> float:
    """Return the seconds of some folds together."""
    return sum(each.seconds for each in trained)


Estimate = Callable[[list[Trained]], float]
ESTIMATES: dict[str, tuple[Estimate, Estimate]] = {  # what is compared, and the seconds that it takes
    "two of five epochs, loss": (lambda each: -each[0].early_loss, lambda each: each[0].early_seconds),
    "a training, accuracy": (lambda each: each[0].accuracy, lambda each: each[0].seconds),
    "a training, loss": (lambda each: -each[0].loss, lambda each: each[0].seconds),
    "two folds, loss": (lambda each: -mean(one.loss for one in each), sum_of),
}


def main(images: str, count: str) -> None:
    """Train with so many settings; print and keep what estimates say of them."""
    with TemporaryDirectory(prefix="rank_correlation.") as folder, chdir(folder):
        make_study(images, Path(folder))
        trained = trained_settings(int(count))
    accuracies = [mean(fold.test_accuracy for fold in each) for each in trained]
    rows = []
    for name, (value, seconds) in ESTIMATES.items():
        coefficient = spearmanr([value(each) for each in trained], accuracies).statistic
        rows.append([name, f"{mean(seconds(each) for each in trained):.0f} s", f"{coefficient:.2f}"])
    shown = f"{Path(images).name}, {count} settings:\n\n"
    shown += table(["estimate (scaled validation loss)", "seconds a setting", "rank correlation"], rows)
    write_results(
        "experiments/results/rank_correlation.json", [[each._asdict() for each in one] for one in trained], shown
    )
    print(shown)


def make_study(images: str, folder: Path) -> None:
    """Make the images of a study in a folder."""
    copy_project(folder)
    set_params(folder, study__networks=[NETWORK], study__data=["original"], **source_settings(images, folder))
    stages = ["prepare", f"weights@{NETWORK}"]
    subprocess.run(["dvc", "repro", "-q", *stages], cwd=folder, env=ENVIRONMENT, check=True)


def trained_settings(count: int) -> list[list[Trained]]:
    """Train in the study of the working directory with so many settings from the search's space, in all folds."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    device.be_deterministic()
    device.keep_freed_memory()
    network, start = network_named(NETWORK), read_starting_point(NETWORK)
    expected = start.image_size, start.normalisation
    sets = [load_images(f"data/{name}", device.device(), *expected) for name in ("original", "validation", "test")]
    defaults = config_from(network.schema, read_json(f"data/settings/{NETWORK}/training.json"))
    tuning = Tuning(network, defaults, Search(folds=FOLDS), sets[0], sets[1], 1, Path())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    found = []
    for number in range(count):
        changed = tuning.suggest(study.ask())
        found.append([trained_fold(tuning, changed, fold, sets[2]) for fold in range(FOLDS)])
        print(f"setting {number + 1}: {mean(each.test_accuracy for each in found[-1]):.3f} {changed}", flush=True)
    return found


def trained_fold(tuning: Tuning, changed: dict[str, object], fold: int, test: ImageSet) -> Trained:
    """Train in a fold with some settings changed; a training that diverges is the worst there is."""
    task, began = tuning.task(changed, fold), time.perf_counter()
    epochs: list[tuple[Epoch, float]] = []

    def after_epoch(epoch: Epoch) -> None:
        epochs.append((epoch, time.perf_counter() - began))

    try:
        with redirect_stderr(StringIO()):
            result = fit(task, "", after_epoch)
    except DivergedError:
        return Trained(WORST_LOSS, 0.0, WORST_LOSS, 0.0, time.perf_counter() - began, 0.0)
    early, early_seconds = next(each for each in epochs if tuning.resource(changed, each[0].epoch) >= EARLY)
    best = min((epoch for epoch, _ in epochs), key=lambda epoch: epoch.validation_temperature_scaled_loss)
    correct = predict(result.model, test).argmax(1) == test.labels.cpu()
    return Trained(
        best.validation_temperature_scaled_loss,
        best.validation_accuracy,
        early.validation_temperature_scaled_loss,
        early_seconds,
        epochs[-1][1],
        float(correct.double().mean()),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
