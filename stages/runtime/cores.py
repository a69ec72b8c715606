"""How many cores this process may use, and so how many workers; and whether several processes are to train together."""

import os
from math import ceil, inf
from pathlib import Path

from stages.runtime.cgroups import control_groups, read_numbers

TORCHRUN_COUNTS, ONE = ("PET_NPROC_PER_NODE", "PET_NNODES"), ("", "1", "1:1")


def wants_several() -> bool:
    """Say whether torchrun's environment asks for several processes that train a network together."""
    return any(os.environ.get(name, "") not in ONE for name in TORCHRUN_COUNTS)


def worker_count() -> int:
    """Return the number of worker processes: STUDY_WORKERS where set, else the cores this process may use."""
    wanted = os.environ.get("STUDY_WORKERS", "")
    return max(1, int(wanted)) if wanted.isdigit() else available_cores()


def available_cores() -> int:
    """Return how many cores this process may use: those it is bound to, and no more than its container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, ceil(min(bound, quota())))


def quota(root: Path = Path("/")) -> float:
    """Return how many cores' time the control groups of this process grant it (Linux), or infinity."""
    return min(map(_quota, control_groups("cpu", root)), default=inf)


def _quota(group: Path) -> float:
    granted = read_numbers(group / "cpu.max")  # version 2: "200000 100000", or "max 100000"
    granted = granted or [*read_numbers(group / "cpu.cfs_quota_us"), *read_numbers(group / "cpu.cfs_period_us")]
    has_limit = len(granted) == 2 and granted[0] > 0  # -1: no limit
    return granted[0] / granted[1] if has_limit else inf
