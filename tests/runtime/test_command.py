"""What a person sees when a stage fails, and what a signal leaves."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from helpers.projects import ROOT
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError


@pytest.fixture(autouse=True)
def _no_words_and_no_dvc(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def failing(error: BaseException):
    def main() -> None:
        raise error

    return main


def ended(main, capsys) -> tuple[object, str]:
    with pytest.raises(SystemExit) as raised:
        run_stage(main)
    return raised.value.code, capsys.readouterr().err


def test_a_problem_is_its_lines_and_exit_code_1(capsys):
    """Without a traceback."""
    assert ended(failing(UserError("this", "that")), capsys) == (1, "error: this\nerror: that\n")


def test_a_full_disk_is_said_in_words(capsys):
    """With the file, and what to do."""
    code, text = ended(failing(OSError(errno.ENOSPC, "No space left on device", "data/big")), capsys)
    assert code == 1
    assert text == "error: the disk is full: data/big could not be written; make room and run `dvc repro` again\n"


def test_an_interruption_says_that_work_is_kept(capsys):
    """Exit code 130, as shells give to what Ctrl-C ended."""
    code, text = ended(failing(KeyboardInterrupt()), capsys)
    assert code == 130
    assert text == (
        "interrupted; `dvc repro` goes on: tuning after its last finished trial, training after its last epoch\n"
    )


def test_other_errors_keep_their_traceback():
    """A fault of ours must be seen whole."""
    with pytest.raises(ZeroDivisionError):
        run_stage(failing(ZeroDivisionError()))
    with pytest.raises(PermissionError):
        run_stage(failing(PermissionError(errno.EACCES, "denied")))


def test_the_words_of_the_command_line_are_the_arguments(monkeypatch):
    """`python -m stages.train own_cnn default original`."""
    seen = []
    monkeypatch.setattr(sys, "argv", ["stage", "own_cnn", "default"])
    run_stage(lambda *words: seen.extend(words))
    assert seen == ["own_cnn", "default"]


def test_sigterm_unwinds_so_that_half_files_are_removed(tmp_path):
    """A polite end leaves no half file."""
    code = (
        "import sys, time\nfrom stages.runtime.command import run_stage\n"
        "from stages.runtime.files import atomic_folder\n"
        "def main(path):\n    with atomic_folder(path) as folder:\n        time.sleep(60)\nrun_stage(main)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "out"], cwd=ROOT, env=environment) as process:
        while not list(tmp_path.iterdir()):
            time.sleep(0.05)
        process.terminate()
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []
