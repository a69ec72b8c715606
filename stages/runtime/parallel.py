"""Spread work on images over all cores; results come in the order of the items, however many workers there are."""

import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages.runtime.cores import worker_count
from stages.runtime.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
CHUNK = 16  # items a worker takes at a time: enough to hide the cost of sending, few enough to keep all busy
CHUNKS_PER_WORKER = 4  # handed out before the oldest is waited for: bounds memory, whatever the number of items


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], description: str, total: int | None = None
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, with a progress bar on a terminal.

    `function` must be importable by name (worker processes load its module). An exception in a worker is raised here.
    """
    results = _with_workers(function, items) if worker_count() > 1 else map(function, items)
    return with_progress_bar(results, items, description, total)


def with_progress_bar(
    results: Iterable[Result], items: Iterable[Item], description: str, total: int | None
) -> Iterator[Result]:
    """Yield what became of items, with a progress bar on a terminal; `total` is their number, if they do not say it."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    yield from tqdm(results, desc=description, total=total, unit=" images", disable=None)


def _with_workers(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    # forkserver: a plain fork would copy the locks of threads that Arrow or OpenCV may have started
    context, count = multiprocessing.get_context("forkserver"), worker_count()
    try:
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_become_worker)
    except OSError as error:  # of their semaphores, in shared memory, or of open files
        if error.errno in TOO_MANY_FILES:
            raise
        raise UserError(
            f"no worker processes can be started: {error.strerror}; make /dev/shm writable, or set STUDY_WORKERS=1"
        ) from None
    remaining = iter(items)
    chunks = iter(lambda: list(islice(remaining, CHUNK)), [])
    waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()

    def submit(limit: int) -> None:
        waiting.extend((chunk, pool.submit(_apply, function, chunk)) for chunk in islice(chunks, limit))

    try:
        submit(CHUNKS_PER_WORKER * count)
        while waiting:
            yield from waiting[0][1].result()
            waiting.popleft()
            submit(1)
    except BrokenProcessPool:
        running = [chunk for chunk, future in waiting if not future.done() or future.exception()][:count]
        raise UserError(*_worker_death(running, count)) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _worker_death(chunks: list[list[Item]], count: int) -> Iterator[str]:
    yield (
        f"a worker process was killed, most likely for want of memory: {count} shared it; set"
        f" STUDY_WORKERS={count // 2} for fewer, or lower prepare.pixel_limit in params.yaml."
        " One of these was too large for it:"
    )
    yield from (f"  {_file_of(item)}" for chunk in chunks for item in chunk)


def _file_of(item: object) -> str:
    """Return the file that an item names, or what it says of itself."""
    parts = item if isinstance(item, tuple) else (item,)
    return str(next((part for part in parts if isinstance(part, Path)), item))


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
