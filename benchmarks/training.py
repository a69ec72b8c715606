"""Training, beside what a user might take instead: images/s of whole epochs, reading included, and peak memory.

    python -m benchmarks.training
    python -m benchmarks.training own_cnn 64

Each side trains in a process of its own; they take turns, five rounds each after one that does not count. A ratio is
the median over rounds of their seconds by ours. The bound is what the machine's matrix peak and its copying, both
measured in the same run, leave possible without fused operations. Peak and trainings are in the precision that is
fastest here.
"""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from benchmarks.hardware_limits import bound, copying, matrix_peak
from benchmarks.training_loops import SIDES, Work
from helpers.image_files import write_jpeg_images
from helpers.timing import Side, Turn, machine, ratio, seconds, take_turns, write_results
from stages.commands.check import settings_of
from stages.hardware import device
from stages.images.shards import Row, ShardWriter
from stages.networks.common.contract import network_named
from stages.reporting.markdown import percent, table

ROUNDS, BATCH, CLASSES = 5, 32, 20
IMAGES = {
    "own_cnn": {64: 640, 128: 160, 224: 64},
    "resnet50": {64: 256, 128: 96, 224: 64},
    "mobilenet_v3_large": {64: 640, 128: 160},
}
OTHERS = ("plain", "Lightning", "timm")
COLUMNS = [
    "network",
    "pixels",
    "images/s",
    *(f"/ {name}" for name in SIDES if name != "ours"),
    "of the bound",
    "memory",
]


def main(wanted: list[tuple[str, int]]) -> None:
    """Measure each network at each size."""
    peaks = {threads: matrix_peak(threads) for threads in (1, 2)}
    copied = copying()
    settings = {network: settings_of(network_named(network)) for network, _ in wanted}
    records, rows = [], []
    for network, size in wanted:
        with TemporaryDirectory(prefix="training.") as folder:
            work = Work(network, settings[network], Path(folder), CLASSES, size, BATCH)
            record = measured(work, IMAGES[network][size])
        record["bound"] = bound(network, settings[network], size, peaks[2], copied)
        records.append(record)
        rows.append(shown(record))
        print(rows[-1], file=sys.stderr, flush=True)
    precision = str(device.precision()).removeprefix("torch.")
    write_results(
        "benchmarks/results/training.json",
        {"precision": precision, "peaks": peaks, "copying": copied, "trainings": records},
    )
    print(f"{machine()}\n\nall but plain in {precision}; its matrix peak ", end="")
    print(f"{peaks[1] / 1e9:,.0f} GFLOP/s on 1 thread, {peaks[2] / 1e9:,.0f} on 2; ", end="")
    print(f"copying {copied / 1e9:.0f} GB/s; batch {BATCH}, {ROUNDS} rounds\n\n{table(COLUMNS, rows)}")


def measured(work: Work, count: int) -> dict[str, Any]:
    """Return what each side took for each of its epochs of `count` images."""
    write_images(work, count)
    with ExitStack() as stack:
        sides = {name: stack.enter_context(started(name, work)) for name in SIDES}
        turns = take_turns(sides, ROUNDS)
    return {"network": work.network, "size": work.size, "images": count, "turns": turns}


def write_images(work: Work, count: int) -> None:
    """Write so many images to train on, and the first two of them as those that tell when to stop."""
    write_jpeg_images(work.folder / "images", count, work.size, CLASSES)
    names = sorted(path.name for path in (work.folder / "images").iterdir())
    files = sorted((work.folder / "images").rglob("*.jpg"))
    for shards, part in (("shards", files), ("few", files[:2])):
        with ShardWriter(work.folder / shards, names) as writer:
            for path in part:
                writer.add(Row(path.read_bytes(), f"{path.parent.name}/{path.name}", names.index(path.parent.name)))


def started(name: str, work: Work) -> Side:
    """Start a side; the threads of others wait for work as OpenMP has it, not as stages/hardware/__init__.py does."""
    with patch.dict(os.environ):
        if name in OTHERS:
            os.environ.pop("GOMP_SPINCOUNT", None)
        return Side(SIDES[name], work)


def shown(record: dict[str, Any]) -> list[str]:
    """Return a record's row of the table."""
    turns: dict[str, list[Turn]] = record["turns"]
    rate = record["images"] / median(seconds(turns["ours"]))
    ratios = [f"{ratio(seconds(turns['ours']), seconds(turns[name])):.2f}" for name in SIDES if name != "ours"]
    peak = max(turn.peak_bytes for turn in turns["ours"])
    memory = f"{peak / 1e9:.1f} GB"
    return [record["network"], str(record["size"]), f"{rate:.0f}", *ratios, percent(rate / record["bound"]), memory]


if __name__ == "__main__":
    everything = [(network, size) for network, sizes in IMAGES.items() for size in sizes]
    main([(sys.argv[1], int(size)) for size in sys.argv[2:]] or everything)
