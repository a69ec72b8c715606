"""How much memory a process may take: what is free, within a container's limit and a budget of the user's own."""

import os
import resource
import sys
from math import inf
from pathlib import Path

import psutil

from stages.runtime.cgroups import control_groups, read_numbers
from stages.runtime.errors import UserError

CGROUP_FILES = (  # of version 2 and 1: limit, what is used of it, and which of its statistics can be taken back
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
GIGABYTE = 1e9
SHARE_OF_IMAGES = 0.5  # of the memory that is left, for all the images of one folder; the rest is for what trains


def free_bytes(root: Path = Path("/")) -> int:
    """Return the bytes that are free on this machine, and no more than is left of a limit.

    Of a container's or job's, or of what `ulimit -v` grants each process of its address space.
    """
    granted, _ = resource.getrlimit(resource.RLIMIT_AS)
    own = inf if granted == resource.RLIM_INFINITY else max(0, granted - psutil.Process().memory_info().vms)
    return int(min([psutil.virtual_memory().available, own, *map(_unused_memory, control_groups("memory", root))]))


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


def _unused_memory(group: Path) -> float:
    """Return the bytes that a control group still grants; what it caches of files counts as free."""
    for limit, usage, cached in CGROUP_FILES:
        granted, used = read_numbers(group / limit), read_numbers(group / usage)
        if granted and used:
            return max(0, granted[0] - max(0, used[0] - _memory_statistic(group, cached)))
    return inf


def _memory_statistic(group: Path, name: str) -> float:
    try:
        lines = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
    except OSError:
        return 0


def peak_resident_megabytes() -> int:
    """Return the most main memory that this process has held so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / 2**10 if sys.platform == "linux" else kilobytes / 2**20)  # macOS counts bytes
