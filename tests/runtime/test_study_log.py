"""What stages print is kept, and says how long the next study will take."""

import os
import sys

import pytest

from stages.runtime import study_log
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.pipeline import time_left
from stages.runtime.study_log import LOG, seconds_of_stages


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])


def stage(monkeypatch, name: str, main) -> None:
    """Run `main` as DVC would, but for the guard of its inputs."""
    monkeypatch.setenv("DVC_STAGE", f"dvc.yaml:{name}")
    monkeypatch.setattr("stages.runtime.command.guard_stage", lambda _: open(os.devnull))  # noqa: SIM115, PTH123
    run_stage(main)


def printing() -> None:
    print("fetched 3 classes")
    print("\r50 %|#####     |", file=sys.stderr)
    print("warning: small", file=sys.stderr)


def test_what_stages_print_is_kept_in_order(monkeypatch, capsys):
    """On the terminal as before; in the log below a heading with date and time, without progress bars."""
    stage(monkeypatch, "fetch", printing)
    stage(monkeypatch, "prepare", lambda: None)
    _, heading, *lines = LOG.read_text(encoding="utf-8").splitlines()
    assert heading.endswith(" fetch")
    assert lines[:3] == ["fetched 3 classes", "warning: small", "fetch: 0 s"]
    assert lines[4].endswith(" prepare")
    shown = capsys.readouterr()
    assert shown.out == "fetched 3 classes\n"
    assert shown.err.startswith("\r50 %|")
    assert seconds_of_stages() == {"fetch": 0, "prepare": 0}


def test_who_keeps_the_stream_may_print_at_the_very_end(monkeypatch, capsys):
    """As colorama does on a terminal, when the log is closed."""
    kept = []
    stage(monkeypatch, "fetch", lambda: kept.append(sys.stdout))
    print("reset", file=kept[0])
    assert capsys.readouterr().out == "reset\n"


def test_why_a_stage_failed_is_kept_and_counts_for_no_time(monkeypatch):
    """A person who comes back finds it there."""

    def failing() -> None:
        raise UserError("params.yaml: no")

    with pytest.raises(SystemExit):
        stage(monkeypatch, "fetch", failing)
    assert LOG.read_text(encoding="utf-8").endswith("error: params.yaml: no\n")
    assert seconds_of_stages() == {}


def test_a_link_is_not_followed_and_a_log_that_cannot_be_written_stops_nothing(monkeypatch, capsys):
    """Neither a planted one, nor a folder that can only be read."""
    LOG.parent.mkdir(parents=True)
    LOG.symlink_to("elsewhere")
    stage(monkeypatch, "fetch", printing)
    assert not os.path.lexists("elsewhere")
    assert capsys.readouterr().out == "fetched 3 classes\n"


def test_a_log_that_has_grown_large_begins_anew(monkeypatch):
    """The one before is kept once."""
    stage(monkeypatch, "fetch", printing)
    monkeypatch.setattr(study_log, "LARGEST", 10)
    stage(monkeypatch, "prepare", printing)
    assert seconds_of_stages() == {"prepare": 0}
    assert "fetch: 0 s" in LOG.with_suffix(".log.old").read_text(encoding="utf-8")


def test_the_time_left_is_told_where_every_stage_has_run_before():
    """In words, with what DVC itself takes for each stage."""
    seconds = {"fetch": 50, "prepare": 70, "train": 7200}
    assert time_left(["fetch"], seconds | {"fetch": 1}) == "about 5 s"
    assert time_left(["fetch"], seconds) == "about 50 s"
    assert time_left(["fetch", "prepare"], seconds) == "about 3 min"
    assert time_left(["fetch", "prepare", "train"], seconds) == "about 2 h 03 min"
    assert time_left(["fetch", "report"], seconds) == ""
