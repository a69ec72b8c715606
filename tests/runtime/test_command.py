"""What a person sees when a stage fails, and what a signal leaves."""

import errno
import io
import os
import signal
import subprocess
import sys
import time

import pytest

from helpers.projects import ENVIRONMENT, ROOT, copy_project
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


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "data/big"),
            "the disk is full: data/big could not be written; make room and run it again",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "data/raw"),
            "data/raw: Permission denied; it, or its folder, may not be written, or belongs to another user; see ls -l",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "data"),
            "data: Read-only file system; it lies on what can only be read; work in a copy elsewhere",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "aaa"), "aaa: File name too long; give it a shorter name"),
        (OSError(errno.EIO, "Input/output error", "data/raw"), "data/raw: Input/output error"),
        (OSError("no answer"), "no answer"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "No usable temporary directory found in ['/tmp']; set TMPDIR to a folder that may be written",
        ),
    ],
)
def test_what_the_system_refuses_is_said_in_words(capsys, error, line):
    """With the file, and what to do."""
    assert ended(failing(error), capsys) == (1, f"error: {line}\n")


def test_a_letter_that_a_terminal_lacks_ends_no_stage(monkeypatch):
    """It is spelled: a class may have any name, a container any language."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["stage"])
    run_stage(lambda: print("blåmes 5"))
    assert written.getvalue() == b"bl\\xe5mes 5\n"


def test_an_interruption_says_that_work_is_kept(capsys):
    """Exit code 130, as shells give to what Ctrl-C ended."""
    code, text = ended(failing(KeyboardInterrupt()), capsys)
    assert code == 130
    assert text == (
        "interrupted; `make` (or `dvc repro`) goes on: tuning after its last finished trial, training after its last"
        " epoch, any other stage from its beginning\n"
    )


def test_other_errors_keep_their_traceback():
    """A fault of ours must be seen whole."""
    with pytest.raises(ZeroDivisionError):
        run_stage(failing(ZeroDivisionError()))


def test_the_words_of_the_command_line_are_the_arguments(monkeypatch):
    """`python -m stages.train own_cnn default original`."""
    seen = []
    monkeypatch.setattr(sys, "argv", ["stage", "own_cnn", "default"])
    run_stage(lambda *words: seen.extend(words))
    assert seen == ["own_cnn", "default"]


def test_words_that_no_stage_is_called_with_are_named(monkeypatch, capsys):
    """All of them, before anything runs; and how many there must be."""

    def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
        raise AssertionError

    monkeypatch.setattr(sys, "argv", ["stage", "own-cnn", "best", "../data", "1; touch x"])
    assert ended(main, capsys) == (
        1,
        "error: network 'own-cnn' is not allowed; give small letters, digits and _, as files in stages/networks are"
        " named\nerror: hyperparameters 'best' is not allowed; give default or tuned\n"
        "error: data '../data' is not allowed; give original or augmented\n"
        "error: seed '1; touch x' is not allowed; give a whole number\n",
    )
    monkeypatch.setattr(sys, "argv", ["stage", "own_cnn"])
    assert ended(main, capsys) == (1, "error: expected NETWORK HYPERPARAMETERS DATA SEED, not own_cnn\n")


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount what can only be read")
def test_a_checkout_that_can_only_be_read_is_said_in_words(tmp_path):
    """Whether a stage or a command is asked for, by a person or by DVC; a line names the file."""
    copy_project(tmp_path)
    (tmp_path / "dvc.lock").write_text("cut", encoding="utf-8")
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path], check=True)
        for module, file, stage in (
            ("commands.check", ".dvc/tmp", {}),
            ("fetch", "data/raw", {}),
            ("configure", "data/settings", {}),
            ("configure", ".dvc/tmp", {"DVC_STAGE": "configure"}),
        ):
            words = [sys.executable, "-m", f"stages.{module}"]
            environment = {**ENVIRONMENT, **stage, "PYTHONPATH": str(tmp_path)}
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            line = done.stderr.splitlines()[-1]
            assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
            assert line.startswith("error: "), line
            assert file in line
            assert line.endswith("Read-only file system; it lies on what can only be read; work in a copy elsewhere")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
