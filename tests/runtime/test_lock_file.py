"""A kill while DVC writes dvc.lock stops no study."""

import threading
from pathlib import Path

import pytest

from helpers.projects import run
from stages.runtime.lock_file import BACKUP, CUT, LOCK, keep_lock_file, mend_lock_file

WHOLE = "schema: '2.0'\nstages:\n  fetch:\n    cmd: a\n"


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("cut", ["", "schema: '2.0'\nsta", "\0" * 20])
def test_a_cut_lock_is_mended_from_the_last_copy(cut):
    """And kept, for whoever wants to look; nothing is done to one that is whole, or to none."""
    assert mend_lock_file() == ""
    LOCK.write_text(WHOLE, encoding="utf-8")
    keep_lock_file()
    assert mend_lock_file() == ""
    LOCK.write_text(cut, encoding="utf-8")
    keep_lock_file()  # by another stage, while DVC writes
    assert "the copy that the last stage made" in mend_lock_file()
    assert (LOCK.read_text(encoding="utf-8"), CUT.read_text(encoding="utf-8")) == (WHOLE, cut)


def test_without_a_copy_git_has_one_or_dvc_does_without(tmp_path):
    """The committed one; where none is, an empty file must not stay, for DVC stops at it."""
    LOCK.write_text("", encoding="utf-8")
    assert "none: DVC's run cache has what was computed" in mend_lock_file()
    assert not LOCK.exists()
    run("git", "init", "-q", folder=tmp_path)
    LOCK.write_text(WHOLE, encoding="utf-8")
    run("git", "add", "dvc.lock", folder=tmp_path)
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "lock", folder=tmp_path)
    LOCK.write_text(WHOLE[:-3], encoding="utf-8")
    assert "the one that Git has" in mend_lock_file()
    assert LOCK.read_text(encoding="utf-8") == WHOLE


def test_a_conflict_in_the_lock_is_left_to_its_owner():
    """It is whole, though no YAML: DVC and Git say what to do."""
    LOCK.write_text("<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n", encoding="utf-8")
    BACKUP.parent.mkdir(parents=True)
    BACKUP.write_text(WHOLE, encoding="utf-8")
    assert mend_lock_file() == ""
    assert Path("dvc.lock").read_text(encoding="utf-8").startswith("<<<")


def test_a_lock_that_dvc_is_just_writing_is_left_alone():
    """It is whole a moment later, with what DVC has to record."""
    LOCK.write_text(WHOLE[:-3], encoding="utf-8")
    writer = threading.Timer(0.3, LOCK.write_text, (WHOLE,), {"encoding": "utf-8"})
    writer.start()
    assert mend_lock_file() == ""
    writer.join()
    assert not CUT.exists()
