"""Work spread over processes gives what a loop gives: the same results, order and errors, in bounded memory."""

import errno
import itertools
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from stages.runtime import parallel
from stages.runtime.errors import UserError
from stages.runtime.parallel import CHUNK, CHUNKS_PER_WORKER, parallel_map


@pytest.fixture(params=[1, 2])
def workers(request, monkeypatch):
    """The number of processes that share the work."""
    monkeypatch.setenv("STUDY_WORKERS", str(request.param))
    return request.param


def slow_first(item):
    """Take longest for the first item, so that later ones are done before it."""
    time.sleep(0.3 if item == 0 else 0)
    return item * item, os.getpid()


def fail_at_20(item):
    if item == 20:
        raise ValueError("item 20 is bad")
    return item


def square(item):
    return item * item


def handler_of_interrupts(_):
    return signal.getsignal(signal.SIGINT)


def test_results_come_in_the_order_of_the_items(workers):
    """Whoever is done first, results keep the order of the items, none is lost, and all workers take part."""
    results = list(parallel_map(slow_first, range(10 * CHUNK + 1), "test"))
    assert [result for result, _ in results] == [item * item for item in range(10 * CHUNK + 1)]
    processes = {process for _, process in results}
    assert len(processes) == workers
    assert (os.getpid() in processes) == (workers == 1)


def test_nothing_gives_nothing(workers):
    """No items, no results."""
    assert list(parallel_map(square, [], "test")) == []


def test_an_error_in_a_worker_is_raised_here(workers):
    """What comes before a failure is given, then the failure itself is raised; no process stays behind."""
    results = parallel_map(fail_at_20, range(100), "test")
    given = []
    with pytest.raises(ValueError, match="item 20 is bad"):
        given.extend(results)
    assert given == list(range(20 if workers == 1 else CHUNK))
    assert multiprocessing.active_children() == []


def test_items_are_pulled_only_a_little_ahead(workers):
    """An endless source is no problem: memory holds a bounded number of items, whatever their number."""
    pulled = itertools.count()
    results = parallel_map(square, pulled, "test")
    assert [next(results) for _ in range(100)] == [item * item for item in range(100)]
    assert next(pulled) <= 100 + CHUNK * (CHUNKS_PER_WORKER * workers + 1)
    results.close()
    assert multiprocessing.active_children() == []


def test_results_come_before_all_items_are_pulled(workers):
    """Nothing is pulled before the first result is asked for."""
    pulled = itertools.count()
    parallel_map(square, pulled, "test")
    assert next(pulled) == 0


def test_ctrl_c_is_for_the_parent_alone(monkeypatch):
    """Ctrl-C stops the stage with one line: the workers ignore it and are stopped by their parent."""
    monkeypatch.setenv("STUDY_WORKERS", "2")
    assert set(parallel_map(handler_of_interrupts, range(4), "test")) == {signal.SIG_IGN}


def die_at_20(item):
    if item == Path("20.jpg"):
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does to whoever wants more memory than there is
    return item


def test_the_death_of_a_worker_is_said_with_its_files(monkeypatch):
    """What may have been too large, how many shared the memory, and which settings help."""
    monkeypatch.setenv("STUDY_WORKERS", "2")
    with pytest.raises(UserError) as raised:
        list(parallel_map(die_at_20, [Path(f"{number}.jpg") for number in range(100)], "test"))
    assert "STUDY_WORKERS=1 for fewer, or lower prepare.pixel_limit" in raised.value.lines[0]
    assert "  20.jpg" in raised.value.lines
    assert len(raised.value.lines) <= 1 + 2 * CHUNK


def test_shared_memory_that_cannot_be_written_is_named(monkeypatch):
    """And no folder of the study that is being written."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setenv("STUDY_WORKERS", "2")
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", refuse)
    with pytest.raises(UserError, match="no worker processes can be started: Read-only file system; make /dev/shm"):
        list(parallel_map(square, [1], "test"))
