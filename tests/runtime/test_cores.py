"""How many cores there are to use: those bound to this process, within a container's quota."""

import math
import os

import pytest

from stages.runtime import cores as cores_of
from stages.runtime.cores import quota, worker_count


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
    monkeypatch.setattr(cores_of, "quota", lambda: math.inf)
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
    monkeypatch.setattr(cores_of, "quota", lambda: granted)
    assert worker_count() == count
