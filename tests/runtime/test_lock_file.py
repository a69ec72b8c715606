"""A kill while DVC writes dvc.lock, or its list of locked paths, stops no study."""

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from helpers.projects import ROOT, run
from stages.runtime import lock_file
from stages.runtime.lock_file import (
    BACKUP,
    CUT,
    LOCK,
    LOCKED_PATHS,
    forget_stages,
    keep_lock_file,
    mend_lock_file,
    mend_locked_paths,
)

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


ENTRIES = {
    name: f"  {name}:\n    cmd: {name}\n    deps:\n    - path: a\n" for name in ("fetch", "train@a-1", "train@b-1")
}


def test_stages_that_have_left_the_study_leave_the_lock():
    """And the copy of it; of the others every byte stays, and a lock that is cut or in conflict stays as it is."""
    header = "schema: '2.0'\nstages:\n"
    LOCK.write_text(header + "".join(ENTRIES.values()), encoding="utf-8")
    keep_lock_file()
    forget_stages(lambda name: name != "train@b-1")
    expected = header + ENTRIES["fetch"] + ENTRIES["train@a-1"]
    assert LOCK.read_text(encoding="utf-8") == BACKUP.read_text(encoding="utf-8") == expected
    assert mend_lock_file() == ""
    for odd in (expected[:-1], f"<<<<<<< HEAD\n{expected}=======\n>>>>>>> other\n"):
        LOCK.write_text(odd, encoding="utf-8")
        forget_stages(lambda _: False)
        assert LOCK.read_text(encoding="utf-8") == odd


def test_a_lock_that_a_running_dvc_writes_stays(monkeypatch):
    """DVC reads it again after each stage: what is gone would come back in part."""
    monkeypatch.setattr(lock_file, "_is_dvc", lambda number: number == 7)
    LOCK.write_text(WHOLE, encoding="utf-8")
    LOCKED_PATHS.parent.mkdir(parents=True)
    LOCKED_PATHS.write_text(json.dumps({"read": {"data": [{"pid": 7}]}}), encoding="utf-8")
    forget_stages(lambda _: False)
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


@pytest.mark.parametrize("ran", ["fetch", "configure", "explain"])
def test_no_record_is_lost_wherever_between_two_lines_the_lock_is_cut(monkeypatch, ran):
    """Each cut that lacks a stage, or that DVC would refuse, is mended; so is one that the next stage's start sees."""
    monkeypatch.setattr(lock_file, "WRITING_SECONDS", 0)
    monkeypatch.setattr(lock_file, "_committed", str)  # nothing, without a Git process for each cut
    recorded = yaml.load((ROOT / "dvc.lock").read_bytes(), yaml.CSafeLoader)["stages"]
    stages = {name: recorded[name] for name in ("fetch", "configure", "explain")}
    whole = yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False)
    before, after = whole.split(f"  {ran}:\n")
    writing = f"{before}  {ran}:\n{after.replace('md5: ', 'md5: 0', 1)}".splitlines(keepends=True)
    LOCK.write_text(whole, encoding="utf-8")
    keep_lock_file()
    for lines in range(len(writing)):
        LOCK.write_text("".join(writing[:lines]), encoding="utf-8")
        keep_lock_file()
        mend_lock_file()
        found = yaml.load(LOCK.read_bytes(), yaml.CSafeLoader)
        COMPILED_LOCKFILE_SCHEMA(found)
        assert found["stages"].keys() == stages.keys()


def test_a_lock_that_git_brought_is_not_taken_for_a_cut_one(tmp_path):
    """An older revision has fewer stages than the last copy."""
    LOCK.write_text(WHOLE + "  prepare:\n    cmd: b\n", encoding="utf-8")
    keep_lock_file()
    run("git", "init", "-q", folder=tmp_path)
    LOCK.write_text(WHOLE, encoding="utf-8")
    run("git", "add", "dvc.lock", folder=tmp_path)
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "lock", folder=tmp_path)
    assert mend_lock_file() == ""


def list_paths(text: str) -> None:
    LOCKED_PATHS.parent.mkdir(parents=True, exist_ok=True)
    LOCKED_PATHS.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("cut", ["", '{"write": {"/data/raw": {"pi', "[1]", '{"write": []}'])
def test_a_cut_list_of_locked_paths_is_removed(monkeypatch, cut):
    """DVC stops at it for good; a whole list without a process is left as it is."""
    monkeypatch.setattr(lock_file, "WRITING_SECONDS", 0)
    mend_locked_paths()  # there is none
    for whole in ('{"write": {}, "read": {}}', "{}"):  # as DVC starts it, and leaves it
        list_paths(whole)
        mend_locked_paths()
        assert LOCKED_PATHS.exists()
    list_paths(cut)
    mend_locked_paths()
    assert not LOCKED_PATHS.exists()


@pytest.mark.parametrize(("called", "is_kept"), [("editor", False), ("dvc", True)])
def test_paths_are_locked_for_a_dvc_and_for_no_program_that_has_its_number(called, is_kept):
    """A reboot gives the numbers of killed processes to others, which DVC would wait for."""
    with subprocess.Popen(["bash", "-c", f"exec -a {called} sleep 60"]) as other:
        while called.encode() != Path(f"/proc/{other.pid}/cmdline").read_bytes().split(b"\0")[0]:
            assert other.poll() is None
        info = {"pid": other.pid, "cmd": "dvc repro"}
        list_paths(json.dumps({"write": {"/data/raw": info}, "read": {"/mine": [info]}}))
        mend_locked_paths()
        other.kill()
    assert LOCKED_PATHS.exists() == is_kept


def test_a_kill_while_the_lock_is_mended_loses_nothing(monkeypatch):
    """The cut one stays until the copy stands whole in its place."""
    monkeypatch.setattr(lock_file, "WRITING_SECONDS", 0)
    LOCK.write_text(WHOLE, encoding="utf-8")
    keep_lock_file()
    LOCK.write_text(WHOLE[:-3], encoding="utf-8")

    def killed(source, target):
        if source == BACKUP:
            raise KeyboardInterrupt
        return copyfile(source, target)

    copyfile = shutil.copyfile
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", killed)
        with pytest.raises(KeyboardInterrupt):
            mend_lock_file()
    mend_lock_file()
    assert LOCK.read_text(encoding="utf-8") == WHOLE
