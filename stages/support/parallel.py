"""Spread work on pictures over all cores; results come in the order of the items, however many workers there are."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from math import ceil, inf
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16  # items a worker takes at a time: enough to hide the cost of sending, few enough to keep all busy
AHEAD = 4  # chunks handed out per worker before the oldest is waited for: bounds memory, whatever the number of items


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


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], description: str, total: int | None = None
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, with a progress bar on a terminal.

    `function` must be importable by name (worker processes load its module). An exception in a worker is raised here.
    """
    results = _with_workers(function, items) if worker_count() > 1 else map(function, items)
    return with_bar(results, items, description, total)


def with_bar(results: Iterable[Result], items: Iterable[Item], description: str, total: int | None) -> Iterator[Result]:
    """Yield what became of items, with a progress bar on a terminal; `total` is their number, if they do not say it."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    yield from tqdm(results, desc=description, total=total, unit=" pictures", disable=None)


def _with_workers(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    # forkserver: a plain fork would copy the locks of threads that Arrow or OpenCV may have started
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(worker_count(), mp_context=context, initializer=_become_worker)
    remaining = iter(items)
    chunks = iter(lambda: list(islice(remaining, CHUNK)), [])
    waiting: deque[Future[list[Result]]] = deque()
    try:
        waiting.extend(pool.submit(_apply, function, chunk) for chunk in islice(chunks, AHEAD * worker_count()))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(_apply, function, chunk) for chunk in islice(chunks, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def _apply(function: Callable[[Item], Result], chunk: list[Item]) -> list[Result]:
    return [function(item) for item in chunk]


def _become_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it ends, even if it was killed: a worker waits for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
