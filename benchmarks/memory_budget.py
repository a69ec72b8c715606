"""More images than memory: what each stage holds, and whether training is as fast as with all in memory.

    python -m benchmarks.memory_budget 100000 [PIXELS] [stages]

Makes so many JPEG images of PIXELS a side (64) in 200 classes and runs fetch, prepare, augment and one epoch of the
own CNN, all with STUDY_MEMORY=1 (gigabytes); then, on a 25th of the images, epochs with and without that budget in
turns. With `stages` it ends after augment. Own memory is what the processes of a stage hold beside mapped files, whose
pages the system takes back as it needs them.
"""

import os
import shutil
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.scaling import OUTS
from helpers.image_files import write_jpeg_images
from helpers.projects import ENVIRONMENT, ROOT, set_params
from helpers.timing import machine, run_python, unshared, write_results
from stages.images.shards import row_count
from stages.reporting.markdown import table
from stages.runtime.files import read_json

CLASSES, BUDGET = 200, "1"
ROUNDS = 9
COLUMNS = ["stage", "images", "seconds", "images/s", "peak of own memory"]


def main(count: int, pixels: int, last: str) -> None:
    """Measure all stages with the budget, then training with and without it."""
    ENVIRONMENT["STUDY_MEMORY"] = BUDGET  # of what run() starts
    with TemporaryDirectory(prefix="memory_budget.") as folder:
        rows = [*stages(Path(folder), count, pixels)]
        if last != "stages":
            rows.append(training(Path(folder)))
    write_results("benchmarks/results/memory_budget.json", rows)
    shown = [
        [row[0], f"{row[1]:,}", f"{row[2]:.0f}", f"{row[1] / row[2]:,.0f}", f"{row[3] / 1e6:,.0f} MB"] for row in rows
    ]
    print(f"{machine()}; one run, STUDY_MEMORY={BUDGET}, {pixels} pixels\n\n{table(COLUMNS, shown)}", flush=True)
    if last != "stages":
        compare(max(count // 25, 10 * CLASSES), pixels)


def stages(folder: Path, count: int, pixels: int) -> list[tuple[str, int, float, int]]:
    """Make images and run the stages that work on them; return what each took."""
    write_jpeg_images(folder / "images", count, pixels, CLASSES)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="images")
    set_params(folder, prepare__image_size=pixels, prepare__duplicates="keep", networks__own_cnn__epochs=1)
    set_params(folder, study__hyperparameters=["default"])
    measured = []
    for stage, outs in OUTS.items():
        seconds, peak, _ = run_python(folder, "-m", f"stages.{stage}", held=unshared)
        done = count if stage == "fetch" else sum(row_count(folder / "data" / out) for out in outs)
        measured.append((stage, done, seconds, peak))
    return measured


def training(folder: Path) -> tuple[str, int, float, int]:
    """Train the own CNN for an epoch; return what it took, validation included."""
    (folder / "data/pretrained/own_cnn").mkdir(parents=True, exist_ok=True)
    run_python(folder, "-m", "stages.tune", "own_cnn")
    seconds, peak, _ = run_python(folder, "-m", "stages.train", "own_cnn", "default", "original", "1", held=unshared)
    return "train, one epoch", row_count(folder / "data/original"), seconds, peak


def compare(count: int, pixels: int) -> None:
    """Train for an epoch with the budget and without, in turns; the decoded file is not in memory when it begins."""
    seconds: dict[str, list[float]] = {BUDGET: [], "": []}
    with TemporaryDirectory(prefix="memory_budget.") as name:
        folder = Path(name)
        stages(folder, count, pixels)
        for _ in range(ROUNDS + 1):
            for budget, rounds in seconds.items():
                ENVIRONMENT["STUDY_MEMORY"] = budget
                shutil.rmtree(folder / "data/checkpoints", ignore_errors=True)
                forget(folder / "data/decoded")
                training(folder)
                rounds.append(read_json(next(folder.glob("data/trained/*/timing.json")))["seconds"])
    pairs = list(zip(*seconds.values(), strict=True))[1:]  # the first decodes
    ratio = median(free / tight for tight, free in pairs)
    print(f"\n{count:,} images: with the budget {ratio:.2f} times as fast as without; rounds {pairs} seconds")


def forget(folder: Path) -> None:
    """Have the system drop what it holds of files in its cache."""
    for path in folder.glob("*"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    words = [*sys.argv[1:], "", ""]
    main(int(words[0] or 100_000), int(words[1] or 64), words[2])
