"""One network learnt by several processes: whether it learns the same, and how fast.

    python -m benchmarks.distributed [EPOCHS]

Trains the own CNN on drawn birds (20 classes of 200, 64 pixels) with 1, 2 and 4 processes of torchrun, three seeds
each, in turns. One process has two threads, two have one each; so have four, on twice as many cores or beside another.
"""

import shutil
import sys
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

from helpers.projects import ENVIRONMENT, ROOT, set_params
from helpers.timing import machine, run_python, write_results
from stages.reporting.markdown import table
from stages.runtime.files import read_csv, read_json

PROCESSES, SEEDS = (1, 2, 4), (1, 2, 3)
COLUMNS = ["processes", "threads each", "validation accuracy", "mean", "points from one process", "images/s"]


def main(epochs: int) -> None:
    """Train with each number of processes, and print what came of it."""
    accuracies: dict[int, list[float]] = {count: [] for count in PROCESSES}
    speeds: dict[int, list[float]] = {count: [] for count in PROCESSES}
    with TemporaryDirectory(prefix="distributed.") as name:
        folder = Path(name)
        prepare(folder, epochs)
        for seed in SEEDS:
            for count in PROCESSES:
                accuracy, speed = train(folder, count, seed)
                accuracies[count].append(accuracy)
                speeds[count].append(speed)
    write_results("benchmarks/results/distributed.json", {"accuracies": accuracies, "images per second": speeds})
    rows = [
        [
            str(count),
            str(threads(count)),
            ", ".join(f"{accuracy:.1%}" for accuracy in accuracies[count]),
            f"{mean(accuracies[count]):.1%}",
            f"{100 * (mean(accuracies[count]) - mean(accuracies[1])):+.1f}",
            f"{median(speeds[count]):.0f}",
        ]
        for count in PROCESSES
    ]
    print(f"{machine()}; {epochs} epochs, seeds {SEEDS}, images/s: median\n\n{table(COLUMNS, rows)}")


def prepare(folder: Path, epochs: int) -> None:
    """Draw and prepare the images."""
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, dataset__synthetic__images_per_class=200, networks__own_cnn__epochs=epochs, augment__copies=1)
    set_params(folder, study__hyperparameters=["default"])
    (folder / "data/pretrained/own_cnn").mkdir(parents=True)
    for words in (["fetch"], ["prepare"], ["tune", "own_cnn"]):
        run_python(folder, "-m", f"stages.{words[0]}", *words[1:])


def threads(count: int) -> int:
    """Return the threads of each of so many processes."""
    return 2 if count == 1 else 1


def train(folder: Path, count: int, seed: int) -> tuple[float, float]:
    """Return the best epoch's validation accuracy of a training, and its images a second, validation included."""
    shutil.rmtree(folder / "data/checkpoints", ignore_errors=True)
    ENVIRONMENT.update(PET_NPROC_PER_NODE=str(count), OMP_NUM_THREADS=str(threads(count)))
    run_python(folder, "-m", "stages.train", "own_cnn", "default", "original", str(seed))
    trained = folder / f"data/trained/own_cnn-default-original-{seed}"
    timing = read_json(trained / "timing.json")
    best = read_csv(trained / "history.csv")[timing["best_epoch"] - 1]
    return float(best["validation_accuracy"]), float(timing["images_per_second"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
