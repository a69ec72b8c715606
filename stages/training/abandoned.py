"""Checkpoints that nobody has come back to: settings that were tried, interrupted and left."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

KEPT_DAYS = 30.0
KEPT_GIGABYTES = 10.0  # of 10^9 bytes, all checkpoints together
SPARED_DAYS = 1.0  # another process may be at work on it
DAY = 86_400.0


class Stored(NamedTuple):
    """A file of a checkpoint, its size in bytes, and when it was written last, in seconds."""

    path: Path
    size: int
    written: float


def abandoned(files: Iterable[Stored], now: float) -> list[Stored]:
    """Return what is older than KEPT_DAYS, and the oldest of what is more than KEPT_GIGABYTES; nothing of the last day.

    A date in the future counts as now.
    """
    total, gone = 0.0, []
    for file in sorted(files, key=lambda file: file.written, reverse=True):
        total += file.size
        age = now - file.written
        if age > KEPT_DAYS * DAY or (total > KEPT_GIGABYTES * 1e9 and age > SPARED_DAYS * DAY):
            gone.append(file)
    return gone


def remove_abandoned(folder: Path, now: float) -> None:
    """Remove the checkpoints and trainings in a folder that nobody has come back to, and say so."""
    gone = abandoned(_stored(folder), now)
    for stored in gone:
        if stored.path.is_dir():
            shutil.rmtree(stored.path, ignore_errors=True)
        else:
            stored.path.unlink(missing_ok=True)
    if gone:
        gigabytes = sum(stored.size for stored in gone) / 1e9
        print(f"removed {len(gone)} abandoned checkpoints and trainings from {folder}, {gigabytes:.1f} GB")


def _stored(folder: Path) -> Iterable[Stored]:
    """Yield what lies in the folder: files, and in folders within it a folder for each training that is done."""
    for path in (*folder.glob("*"), *folder.glob("*/*")):
        try:
            if path.parent == folder and path.is_dir():
                continue
            below = [path, *path.glob("*")]
            yield Stored(path, sum(each.stat().st_size for each in below), path.stat().st_mtime)
        except FileNotFoundError:  # its run has ended just now
            continue
