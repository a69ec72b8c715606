"""How the stages grow with the number of images: images/s, peak memory, bytes written.

    python -m benchmarks.scaling 10000 100000

Makes so many JPEG images of 96 pixels in 20 classes and runs fetch, prepare and augment on them with the settings of
params.yaml, then train until it has its first batch. That one is timed from when torch is imported, the others from
their start. Peak memory is the highest sum of the resident memory of the stage's processes, sampled five times a
second; pages that they share count for each.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from helpers.image_files import write_jpeg_images
from helpers.projects import ROOT, set_params
from helpers.timing import machine, run_python, write_results
from stages.commands.check import settings_of
from stages.images.shards import row_count
from stages.networks.common.contract import network_named
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.reporting.markdown import table
from stages.runtime.config import read_section
from stages.runtime.files import write_json

SIZE = 96
COLUMNS = ["images", "stage", "seconds", "images/s", "peak memory", "written"]
OUTS = {"fetch": ["raw"], "prepare": ["original", "validation", "test"], "augment": ["augmented"]}
UNTIL_FIRST_BATCH = """
import os, sys, time
import torch, torchvision
start = time.perf_counter()
from stages import train
from stages.networks.common.image_set import ImageSet
def first_batch(*_):
    print(time.perf_counter() - start, flush=True)
    os._exit(0)
ImageSet.batch = first_batch
train.main("own_cnn", "default", "augmented", "1")
"""


class Measured(NamedTuple):
    """What one stage took for so many images."""

    images: int
    stage: str
    seconds: float
    peak_bytes: int
    written_bytes: int


def main(counts: list[int]) -> None:
    """Measure each number of images in turn."""
    measured = []
    for count in counts:
        with TemporaryDirectory(prefix="scaling.") as folder:
            measured += measure(count, Path(folder))
    write_results("benchmarks/results/scaling.json", [row._asdict() for row in measured])
    rows = [
        [
            f"{row.images:,}",
            row.stage,
            f"{row.seconds:.2f}",
            f"{row.images / row.seconds:,.0f}",
            f"{row.peak_bytes / 1e6:,.0f} MB",
            f"{row.written_bytes / 1e6:,.0f} MB",
        ]
        for row in measured
    ]
    print(f"{machine()}; one run each\n\n{table(COLUMNS, rows)}")


def measure(count: int, folder: Path) -> list[Measured]:
    """Make `count` images in `folder`; return what each stage took of time, memory and disk."""
    write_jpeg_images(folder / "images", count, SIZE)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="images")
    set_params(folder, prepare__duplicates="keep")
    measured = []
    for stage, outs in OUTS.items():
        seconds, peak, _ = run_python(folder, "-m", f"stages.{stage}")
        files = [file for out in outs for file in (folder / "data" / out).rglob("*") if file.is_file()]
        done = len(files) if stage == "fetch" else sum(row_count(folder / "data" / out) for out in outs)
        measured.append(Measured(done, stage, seconds, peak, sum(file.stat().st_size for file in files)))
    write_json(folder / "data/hyperparameters/own_cnn/default.json", defaults())
    _, peak, printed = run_python(folder, "-c", UNTIL_FIRST_BATCH)
    trained = row_count(folder / "data/augmented")
    return [*measured, Measured(trained, "train, to its first batch", float(printed), peak, 0)]


def defaults() -> dict[str, object]:
    """Return the own CNN's hyperparameters as params.yaml has them."""
    return TrainingConfig(
        settings_of(network_named("own_cnn")), read_section("online_augmentation", OnlineAugmentation)
    ).values()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10_000, 100_000])
