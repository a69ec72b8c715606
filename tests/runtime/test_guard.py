"""A stage's inputs, as dvc.yaml declares them, must not change while it runs."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.projects import ROOT
from stages.runtime import guard
from stages.runtime.errors import UserError
from tests.conftest import folders_1500_deep

PIPELINE = """
stages:
  bake:
    desc: Bake a loaf.
    matrix: {oven: [small], heat: [low]}
    cmd: bake ${item.oven}
    params: [seed, "ovens.${item.oven}"]
    deps: ["code/${item.heat}.py", stages/room, data]
"""


@pytest.fixture(autouse=True)
def _bakery(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(guard, "end_with_parent", lambda: None)
    for path, text in {
        "dvc.yaml": PIPELINE, "params.yaml": "seed: 1\novens: {small: {degrees: 9}, large: {degrees: 1}}\n",
        "code/low.py": "heat = 1\n", "code/high.py": "heat = 2\n", "data/a/flour.txt": "white",
        "stages/room/table.py": "legs = 4\n",
    }.items():  # fmt: skip
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        os.utime(path, (1e9, 1e9))  # written long before this process started


def bake(*edits: tuple[str, str]) -> tuple[str, ...]:
    """Run the stage, edit files meanwhile; return what was found to have changed."""
    try:
        with guard.guard_stage("bake@small-low"):
            for path, text in edits:
                Path(path).write_text(text)
    except UserError as problem:
        return tuple(line.removesuffix(" changed while bake@small-low was running") for line in problem.lines[:-1])
    return ()


def test_nothing_edited_nothing_said():
    """A stage whose inputs stay as they were ends well, and can run again."""
    assert bake() == ()
    assert bake() == ()


def test_inputs_may_lie_in_any_depth():
    """A person's folder of images, say."""
    with folders_1500_deep(Path("data")):
        assert bake() == ()
        assert bake(("data/a/flour.txt", "brown")) == ("data",)


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("code/low.py", "heat = 3\n", "code/low.py"),
        ("params.yaml", "seed: 2\novens: {small: {degrees: 9}}\n", "params.yaml: seed"),
        ("params.yaml", "seed: 1\novens: {small: {degrees: 8}}\n", "params.yaml: ovens.small"),
        ("data/a/flour.txt", "brown", "data"),
        ("stages/room/table.py", "legs = 3\n", "stages/room"),
        ("stages/room/chair.py", "legs = 4\n", "stages/room"),
        ("data/new.txt", "", "data"),
    ],
)
def test_an_edited_input_is_named(path, text, named):
    """Code, a param of the stage, or a file of its data, a new one included."""
    assert bake((path, text)) == (named,)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("code/high.py", "heat = 3\n"),
        ("params.yaml", "# a comment\novens: {large: {degrees: 2}, small: {degrees: 9}}\nseed: 1\n"),
        ("code/low.py", "heat = 1\n"),
        ("stages/room/table.py", "legs = 4\n"),
        ("stages/room/table.pyc", "what Python makes of it"),
    ],
)
def test_what_the_stage_does_not_read_may_be_edited(path, text):
    """Another stage's code, another section, comments, the order of keys; code saved without a change."""
    assert bake((path, text)) == ()


def test_an_edit_between_the_start_and_the_first_look_is_found():
    """Imports take seconds, in which the code may be saved anew."""
    for path in ("code/low.py", "stages/room/table.py"):
        Path(path).write_text("heat = 3\n")  # now: after this process has started
    assert bake() == ("code/low.py", "stages/room")


def test_after_a_clock_was_set_back_nothing_counts_as_edited(monkeypatch):
    """What was written before it was lies in the future then, by the system's own record too."""
    moment = time.time()
    monkeypatch.setattr(guard.time, "time", lambda: moment - 3600)
    Path("code/low.py").write_text("heat = 1\n")
    assert bake() == ()


@pytest.mark.parametrize(
    "address", ["dvc.yaml:bake@small-low", "../dvc.yaml:bake@small-low", "../../dvc.yaml:bake@small-low"]
)
def test_however_dvc_calls_the_stage_its_inputs_are_known(address):
    """From a sub-folder DVC names the file too."""
    with pytest.raises(UserError, match=r"code/low\.py changed while bake@small-low"), guard.guard_stage(address):
        Path("code/low.py").write_text("heat = 3\n")


@pytest.mark.parametrize("path", ["code/low.py", "params.yaml", "stages/room/table.py", "data/a/flour.txt"])
def test_a_date_in_the_future_is_no_change(path, monkeypatch):
    """A clock was put right, or an archive unpacked from a machine ahead: nobody has edited anything."""
    moment = time.time()
    os.utime(path, (moment + 1e6, moment + 1e6))
    monkeypatch.setattr(guard, "age", lambda: time.time() - moment - 3)  # as if this process had started after that
    assert bake() == ()
    assert bake() == ()


def test_the_age_of_a_process_is_known_to_a_tenth_of_a_second():
    """Else an edit just before a stage starts would look like one made while it runs."""
    start = time.time()
    code = "import time; first = time.time(); from stages.runtime.parent import age; print(time.time() - age(), first)"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    began, first = map(float, printed.split())
    assert start - 0.1 < began < first + 0.1


def test_two_processes_never_run_one_stage(monkeypatch):
    """The second waits for a moment, then says so; once the first has ended, it may."""
    monkeypatch.setattr(guard, "LOCK_TIMEOUT", 0.1)
    with guard.exclusive_lock("bake"):
        with pytest.raises(UserError, match="another process is running bake"), guard.exclusive_lock("bake"):
            pass
        with guard.exclusive_lock("brew"):
            pass
    with guard.exclusive_lock("bake"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_where_a_file_system_has_no_locks_a_stage_runs_without(monkeypatch, capsys, number):
    """And says so once; nobody waits for a process that is not there."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(guard.fcntl, "flock", refuse)
    assert bake() == ()
    assert capsys.readouterr().err == (
        "warning: this file system has no locks (flock); start no second `dvc repro` here\n"
        "stage 1 of 1, bake@small-low: Bake a loaf.\n"
    )


def test_a_link_planted_as_a_lock_is_not_followed():
    """Its target keeps what it holds, and none is made; the file of a lock keeps its content as well."""
    Path("mine.txt").write_text("mine")
    Path(".dvc/tmp").mkdir(parents=True)
    for target in ("mine.txt", "new.txt"):
        Path(".dvc/tmp/bake.running").unlink(missing_ok=True)
        Path(".dvc/tmp/bake.running").symlink_to(Path(target).absolute())
        with pytest.raises(OSError, match="symbolic links"), guard.exclusive_lock("bake"):
            pass
    assert Path("mine.txt").read_text() == "mine"
    assert not Path("new.txt").exists()


def test_a_stage_whose_dvc_died_before_it_began_ends_at_once(tmp_path):
    """Imports take seconds; who started it may be gone by then, and the shell between them still there."""
    code = "import time; time.sleep(1); from stages.runtime.parent import end_with_parent as end; end(); time.sleep(60)"
    script = f"echo $$ > {tmp_path}/shell; {sys.executable} -c '{code}'; echo $? > {tmp_path}/status"
    middle = (
        "import subprocess, sys; subprocess.Popen(['sh', '-c', sys.argv[1]])"  # as DVC that is killed: gone at once
    )
    subprocess.run([sys.executable, "-c", middle, script], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not (tmp_path / "status").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert (tmp_path / "status").read_text(encoding="utf-8").strip() == "1"
