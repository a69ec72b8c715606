"""A process takes what is free, within a container's limit and the user's budget."""

import psutil
import pytest

from stages.hardware import memory
from stages.runtime.errors import UserError


def test_a_container_s_limit_is_the_memory_there_is(tmp_path, monkeypatch):
    """Whatever the machine around it has free."""
    (tmp_path / "limit").write_text("1000000\n", encoding="utf-8")
    (tmp_path / "none").write_text("max\n", encoding="utf-8")
    monkeypatch.setattr(memory, "LIMITS", [str(tmp_path / name) for name in ("none", "limit", "missing")])
    assert memory.free_bytes() == 1_000_000


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
