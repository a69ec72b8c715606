"""A person at a terminal sees which stage of how many runs, and about how long it still takes."""

import sys
from pathlib import Path

import pytest

from helpers.projects import ROOT
from stages.runtime import progress
from stages.runtime.progress import line, seconds_of, stage_names, told

NAMES = [
    "fetch",
    "train@own_cnn-default-original-1",
    "train@own_cnn-default-augmented-1",
    "train@resnet50-default-original-1",
]
TIMES = {"fetch": 10.0, NAMES[1]: 100.0, NAMES[3]: 300.0}


def test_the_place_of_a_run_is_told_with_what_is_left():
    """This stage and those after it, a run that never ran by the mean of its network's."""
    assert line(NAMES[2], NAMES, TIMES) == "train: 2 of 3; the study takes at most about 7 min more"
    assert line("fetch", NAMES, TIMES) == "fetch; the study takes at most about 8 min more"


def test_of_what_nothing_is_known_no_time_is_told():
    """A first study knows no times; a stage that params.yaml no longer unfolds has no place."""
    assert line(NAMES[1], NAMES, {}) == "train: 1 of 3"
    assert line("train@gone-1", NAMES, TIMES) == "train"


def test_a_run_takes_as_long_as_its_like():
    """Itself, its network's runs, any run; else nobody knows."""
    assert seconds_of(NAMES[2], TIMES | {NAMES[2]: 7.0}) == 7
    assert seconds_of(NAMES[2], TIMES) == 100
    assert seconds_of("train@convnext_tiny-default-original-1", TIMES) == 200
    assert seconds_of("evaluate@own_cnn-default-original-1", TIMES) is None


def test_stages_are_those_that_dvc_unfolds(project):
    """In the order of dvc.yaml: 5 single ones, 2 searches, 8 trainings, 8 evaluations."""
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    names = stage_names()
    assert len(names) == 22
    assert names[3:6] == ["tune@own_cnn", "tune@resnet50", "train@own_cnn-default-original-1"]
    assert names[-1] == "report"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_only_a_terminal_is_told_and_times_are_kept(project, monkeypatch, capsys, is_terminal):
    """Also where the file of times is torn."""
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    progress.TIMES.parent.mkdir(parents=True)
    progress.TIMES.write_text('{"fet', encoding="utf-8")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    with told("train@own_cnn-tuned-original-1"):
        pass
    assert capsys.readouterr().err == ("train: 3 of 8\n" if is_terminal else "")
    assert seconds_of("train@own_cnn-tuned-original-1", progress._known()) == pytest.approx(0, abs=1)


def test_what_fails_took_no_time(project):
    """Its time would tell too little."""
    Path("dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    with pytest.raises(ValueError, match="bad"), told("fetch"):
        raise ValueError("bad")
    assert not progress.TIMES.exists()
