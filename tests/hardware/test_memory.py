"""A process takes what is free, within a container's limit and the user's budget."""

import psutil
import pytest

from stages.hardware import memory
from stages.runtime.errors import UserError


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/memory.current": "5"}, None),
        (  # a container of Docker, and what its processes and their files take
            {
                "proc/self/cgroup": "0::/",
                "sys/fs/cgroup/memory.max": "1000000",
                "sys/fs/cgroup/memory.current": "700000",
                "sys/fs/cgroup/memory.stat": "anon 300000\ninactive_file 400000\n",
            },
            700_000,
        ),
        (  # a step of a SLURM job: the limit is the job's, two groups above
            {
                "proc/self/cgroup": "0::/job_7/step_0/task_0",
                "sys/fs/cgroup/job_7/memory.max": "1000000",
                "sys/fs/cgroup/job_7/memory.current": "200000",
                "sys/fs/cgroup/job_7/step_0/memory.max": "max",
                "sys/fs/cgroup/job_7/step_0/memory.current": "200000",
            },
            800_000,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/a\n4:memory:/docker/1f",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "500000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "600000",
            },
            0,
        ),
    ],
)
def test_the_memory_there_is_is_what_is_left_of_a_limit(tmp_path, files, left):
    """Of a container, a job or a service, however deep it lies, in both versions of control groups."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    assert memory.free_bytes(tmp_path) == (left if left is not None else pytest.approx(memory.free_bytes(), rel=0.2))


def test_the_shell_s_limit_counts(monkeypatch):
    """As `ulimit -v` sets it on nodes that many people share."""
    taken = psutil.Process().memory_info().vms
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (taken + 1_000_000_000, -1))
    assert memory.free_bytes() == pytest.approx(1e9, rel=0.1)
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (taken // 2, -1))
    assert memory.free_bytes() == 0


def test_a_budget_grants_what_the_process_has_not_taken(monkeypatch):
    """In gigabytes; never more than is free, never less than nothing."""
    monkeypatch.delenv("STUDY_MEMORY", raising=False)
    assert memory.left_bytes() > 0
    taken = psutil.Process().memory_info().rss / 1e9
    monkeypatch.setenv("STUDY_MEMORY", f"{taken + 1}")
    assert memory.left_bytes() == pytest.approx(1e9, rel=0.1)
    monkeypatch.setenv("STUDY_MEMORY", "0.000001")
    assert memory.left_bytes() == 0
    monkeypatch.setenv("STUDY_MEMORY", "1e9")
    assert memory.left_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize("budget", ["4 GB", "0", "-1", "nan", "inf"])
def test_a_budget_that_is_none_is_said_in_words(monkeypatch, budget):
    """With what was meant."""
    monkeypatch.setenv("STUDY_MEMORY", budget)
    with pytest.raises(UserError, match=r"give gigabytes, e\.g\. 4 or 0\.5"):
        memory.left_bytes()
