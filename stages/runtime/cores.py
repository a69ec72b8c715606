"""How many cores this process may use, and so how many workers; and whether several processes are to train together."""

import os
from math import ceil, inf
from pathlib import Path, PurePosixPath

WANTED, OF_ONE = ("PET_NPROC_PER_NODE", "PET_NNODES"), ("", "1", "1:1")  # torchrun's


def wants_several() -> bool:
    """Say whether torchrun's environment asks for several processes that train a network together."""
    return any(os.environ.get(name, "") not in OF_ONE for name in WANTED)


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
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return inf
    return min((_granted(root / "sys/fs/cgroup", *line.split(":", 2)[1:]) for line in lines), default=inf)


def _granted(mounted: Path, controllers: str, group: str) -> float:
    """Return the least quota of a group and those above it; within a container all but its own are out of sight."""
    if controllers and "cpu" not in controllers.split(","):
        return inf
    tops = [mounted / controllers, mounted / "cpu"] if controllers else [mounted, mounted / "unified"]
    paths = [PurePosixPath(group.lstrip("/")), *PurePosixPath(group.lstrip("/")).parents]
    return min(_written(top / path) for top in tops for path in paths)


def _written(group: Path) -> float:
    try:
        if (both := group / "cpu.max").exists():  # version 2: "200000 100000", or "max 100000"
            time, period = both.read_text(encoding="utf-8").split()
        else:
            time = (group / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (group / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        return int(time) / int(period) if int(time) > 0 else inf  # -1: no limit
    except (OSError, ValueError):
        return inf
