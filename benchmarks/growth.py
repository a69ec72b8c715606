"""How prepare and augment grow with the number of pictures: pictures/s, peak memory, bytes of the shards.

    python -m benchmarks.growth 5000 20000 100000

Makes so many JPEG pictures of 96 pixels in 20 classes, runs the two stages on them with the settings of params.yaml,
prints a table and writes it to benchmarks/growth.json. Peak memory is the highest sum of the resident memory of the
stage's processes, sampled five times a second; pages that they share count for each.
"""

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.measuring import peak_memory
from benchmarks.pictures import write_pictures
from benchmarks.studies import ENVIRONMENT, ROOT
from stages.lib.shards import row_count
from stages.lib.tables import table

SIZE = 96
COLUMNS = ["pictures", "stage", "seconds", "pictures/s", "peak memory", "shards"]


class Measured(NamedTuple):
    """What one stage took for so many pictures."""

    pictures: int
    stage: str
    seconds: float
    peak_bytes: int
    shard_bytes: int


def main(counts: list[int]) -> None:
    """Measure each number of pictures in turn."""
    measured = []
    for count in counts:
        with TemporaryDirectory(dir=ROOT, prefix="growth.", suffix=".unfinished") as folder:
            measured += measure(count, Path(folder))
    rows = [
        [
            f"{row.pictures:,}",
            row.stage,
            f"{row.seconds:.1f}",
            f"{row.pictures / row.seconds:.0f}",
            f"{row.peak_bytes / 1e6:,.0f} MB",
            f"{row.shard_bytes / 1e6:,.0f} MB",
        ]
        for row in measured
    ]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, one run each\n\n{table(COLUMNS, rows)}")
    records = json.dumps([row._asdict() for row in measured], indent=2)
    (ROOT / "benchmarks/growth.json").write_text(f"{records}\n", encoding="utf-8")


def measure(count: int, folder: Path) -> list[Measured]:
    """Make `count` pictures in `folder`; return what prepare and augment took of time, memory and disk."""
    write_pictures(folder / "data/raw", count, SIZE)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    measured = []
    for stage, outs in (("prepare", ("original", "validation", "test")), ("augment", ("augmented",))):
        seconds, peak = run(stage, folder)
        written = sum(file.stat().st_size for out in outs for file in (folder / "data" / out).iterdir())
        done = sum(row_count(folder / "data" / out) for out in outs)
        measured.append(Measured(done, stage, seconds, peak, written))
    return measured


def run(stage: str, folder: Path) -> tuple[float, int]:
    """Run a stage; return its seconds and the highest sum of its processes' resident memory in bytes."""
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    command = [sys.executable, "-m", f"stages.{stage}"]
    with subprocess.Popen(command, cwd=folder, env=environment) as process, peak_memory(process.pid) as peak:
        process.wait()
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - start, peak[0]


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [5_000, 20_000])
