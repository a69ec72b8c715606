"""Work spread over processes gives what a loop gives: the same results, order and errors, in bounded memory."""

import itertools
import math
import multiprocessing
import os
import signal
import time

import pytest

from stages.support import parallel
from stages.support.parallel import AHEAD, CHUNK, ordered_map, quota, worker_count


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
    results = list(ordered_map(slow_first, range(10 * CHUNK + 1), "test"))
    assert [result for result, _ in results] == [item * item for item in range(10 * CHUNK + 1)]
    processes = {process for _, process in results}
    assert len(processes) == workers
    assert (os.getpid() in processes) == (workers == 1)


def test_nothing_gives_nothing(workers):
    """No items, no results."""
    assert list(ordered_map(square, [], "test")) == []


def test_an_error_in_a_worker_is_raised_here(workers):
    """What comes before a failure is given, then the failure itself is raised; no process stays behind."""
    results = ordered_map(fail_at_20, range(100), "test")
    given = []
    with pytest.raises(ValueError, match="item 20 is bad"):
        given.extend(results)
    assert given == list(range(20 if workers == 1 else CHUNK))
    assert multiprocessing.active_children() == []


def test_items_are_pulled_only_a_little_ahead(workers):
    """An endless source is no problem: memory holds a bounded number of items, whatever their number."""
    pulled = itertools.count()
    results = ordered_map(square, pulled, "test")
    assert [next(results) for _ in range(100)] == [item * item for item in range(100)]
    assert next(pulled) <= 100 + CHUNK * (AHEAD * workers + 1)
    results.close()
    assert multiprocessing.active_children() == []


def test_results_come_before_all_items_are_pulled(workers):
    """Nothing is pulled before the first result is asked for."""
    pulled = itertools.count()
    ordered_map(square, pulled, "test")
    assert next(pulled) == 0


def test_ctrl_c_is_for_the_parent_alone(monkeypatch):
    """Ctrl-C stops the stage with one line: the workers ignore it and are stopped by their parent."""
    monkeypatch.setenv("STUDY_WORKERS", "2")
    assert set(ordered_map(handler_of_interrupts, range(4), "test")) == {signal.SIG_IGN}


def test_the_number_of_workers_can_be_set(monkeypatch):
    """STUDY_WORKERS sets the number of processes; anything but a number means all cores; there is always one."""
    monkeypatch.delenv("STUDY_WORKERS", raising=False)
    cores = worker_count()
    assert 1 <= cores <= os.cpu_count()
    for wanted, count in {"3": 3, "1": 1, "0": 1, "": cores, "many": cores, "-2": cores}.items():
        monkeypatch.setenv("STUDY_WORKERS", wanted)
        assert worker_count() == count


def test_only_the_cores_of_this_process_count(monkeypatch):
    """A container or taskset that gives fewer cores than the machine has is respected."""
    monkeypatch.delenv("STUDY_WORKERS", raising=False)
    monkeypatch.setattr(parallel, "quota", lambda: math.inf)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6}, raising=False)
    assert worker_count() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert worker_count() == 1


def write_files(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, math.inf),  # no Linux
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),  # a container by Docker, today's
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, math.inf),
        ({"proc/self/cgroup": "0::/"}, math.inf),
        (  # a service of systemd whose slice is narrower
            {
                "proc/self/cgroup": "0::/a.slice/b.service",
                "sys/fs/cgroup/a.slice/cpu.max": "150000 100000",
                "sys/fs/cgroup/a.slice/b.service/cpu.max": "400000 100000",
            },
            1.5,
        ),
        (  # version 1: in the container the group's path is the machine's, and out of sight
            {
                "proc/self/cgroup": "5:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n0::/",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            math.inf,
        ),
    ],
)
def test_a_container_s_quota_is_read(tmp_path, files, cores):
    """As `docker run --cpus`, Kubernetes and systemd set it, in both versions of control groups."""
    write_files(tmp_path, files)
    assert quota(tmp_path) == cores


@pytest.mark.parametrize(("granted", "count"), [(0.5, 1), (1.5, 2), (2, 2), (64, 3), (math.inf, 3)])
def test_a_quota_limits_the_number_of_workers(monkeypatch, granted, count):
    """On three cores of a large machine; a part of a core counts as one."""
    monkeypatch.delenv("STUDY_WORKERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6}, raising=False)
    monkeypatch.setattr(parallel, "quota", lambda: granted)
    assert worker_count() == count
