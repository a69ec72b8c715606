"""How much memory a process may take: what is free, within a container's limit and a budget of the user's own."""

import os
import resource
import sys
from pathlib import Path

import psutil

from stages.runtime.errors import UserError

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
GIGABYTE = 1e9
SHARE_OF_IMAGES = 0.5  # of the memory that is left, for all the images of one folder; the rest is for what trains


def free_bytes() -> int:
    """Return the bytes that are free on this machine, and no more than a container's limit."""
    return min(psutil.virtual_memory().available, *map(_limit, LIMITS))


def left_bytes() -> float:
    """Return the bytes that this process may still take: what is free, and of STUDY_MEMORY (gigabytes) what it has not.

    Raises UserError where STUDY_MEMORY is set and no number above 0.
    """
    budget = os.environ.get("STUDY_MEMORY")
    if not budget:
        return free_bytes()
    try:
        granted = float(budget) * GIGABYTE
    except ValueError:
        granted = 0.0
    if not 0 < granted < float("inf"):
        raise UserError(f"STUDY_MEMORY is {budget!r}; give gigabytes, e.g. 4 or 0.5, or unset it")
    return min(free_bytes(), max(granted - psutil.Process().memory_info().rss, 0.0))


def _limit(path: str) -> int:
    """Return a control group's limit in bytes; one without says "max", or in version 1 a number beyond all memory."""
    try:
        return int(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return sys.maxsize


def peak_resident_megabytes() -> int:
    """Return the most main memory that this process has held so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / 2**10 if sys.platform == "linux" else kilobytes / 2**20)  # macOS counts bytes
