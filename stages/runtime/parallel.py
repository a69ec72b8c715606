"""Spread work on images over all cores; results come in the order of the items, however many workers there are."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

from tqdm import tqdm

from stages.runtime.cores import worker_count

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16  # items a worker takes at a time: enough to hide the cost of sending, few enough to keep all busy
AHEAD = 4  # chunks handed out per worker before the oldest is waited for: bounds memory, whatever the number of items


def parallel_map(
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
    yield from tqdm(results, desc=description, total=total, unit=" images", disable=None)


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
