"""The page names the code that made it: a commit, and what was edited since."""

from pathlib import Path

import pytest

from helpers.projects import run
from stages.reporting.commit import commit


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stages").mkdir()
    for name in ("params.yaml", "README.md", "stages/a.py", "stages/b.py", "stages/c.py", "stages/d.py"):
        (tmp_path / name).touch()
    run("git", "init", "-q", folder=tmp_path)
    run("git", "add", "-A", folder=tmp_path)
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "one", folder=tmp_path)
    return tmp_path


def test_a_commit_is_named_as_git_names_it(repository):
    """What is no code or setting does not count: a study in the making always has edits of its own."""
    (repository / "README.md").write_text("edited", encoding="utf-8")
    assert commit() == run("git", "rev-parse", "--short", "HEAD", folder=repository).strip()


def test_edits_of_code_and_settings_are_named(repository):
    """The first few, and how many more."""
    name = commit()
    (repository / "params.yaml").write_text("edited", encoding="utf-8")
    assert commit() == f"{name}, with edits of params.yaml"
    for each in "abcd":
        (repository / f"stages/{each}.py").write_text("edited", encoding="utf-8")
    assert commit() == f"{name}, with edits of params.yaml, stages/a.py, stages/b.py, 2 more"


def test_outside_of_git_there_is_none(tmp_path, monkeypatch):
    """Nor without Git."""
    monkeypatch.chdir(tmp_path)
    assert commit() == ""
    monkeypatch.setenv("PATH", "")
    assert commit() == ""
