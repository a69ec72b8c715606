"""What benchmarks compare with, and what there is of them."""

import psutil
import pytest
import torch

from benchmarks import hardware_limits, waiting
from benchmarks.__main__ import IN_THE_README, MINUTES
from benchmarks.pipeline import first_work
from helpers.catalogue import catalogue
from helpers.projects import ROOT
from tests.conftest import network_settings

PARTS = {"__init__", "__main__", "hardware_limits", "training_loops"}  # what programs are made of


def test_peak_and_bound_are_in_the_precision_that_is_fastest_here(monkeypatch):
    """In emulated bfloat16 a matrix product takes minutes; in float32 twice as many bytes are moved."""
    monkeypatch.setattr("stages.hardware.device.precision", lambda: torch.float32)
    measured = []
    monkeypatch.setattr(hardware_limits, "fastest", lambda work: measured.append(work().dtype) or 1.0)
    assert hardware_limits.matrix_peak(1) == 2 * 2048**3
    assert measured == [torch.float32] * 2
    settings = network_settings("own_cnn")
    exact = hardware_limits.bound("own_cnn", settings, 64, peak=float("inf"), copied=1e9)
    monkeypatch.setattr("stages.hardware.device.precision", lambda: torch.bfloat16)
    assert hardware_limits.bound("own_cnn", settings, 64, peak=float("inf"), copied=1e9) == 2 * exact


def test_benchmarks_are_listed_with_a_sentence_each():
    """Each program of the folder is there, and `make bench` runs some of them."""
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == {*MINUTES, *PARTS}
    assert set(IN_THE_README) <= set(MINUTES)
    listed = catalogue(ROOT / "benchmarks", MINUTES)
    assert "How the stages grow with the number of images: images/s, peak memory, bytes written" in listed


def test_helpers_are_no_programs_of_either():
    """What tests, benchmarks and experiments share depends on none of them."""
    for path in (ROOT / "helpers").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [name for name in ("benchmarks", "experiments", "tests") if f"from {name}" in text], path


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fetch", "prepare", "train"])
def test_the_first_work_of_a_stage_is_when_it_looks_for_data(stage, project):
    """The seconds until then are those of Python and of imports; prepare looks into a folder, train into a file."""
    (project / "stages").symlink_to(ROOT / "stages")
    (project / "data/raw").mkdir(parents=True)
    seconds, _ = first_work(project, stage, rounds=1)
    assert seconds[0] > 0


@pytest.mark.slow
def test_how_long_threads_wait_is_measured_in_turns(project, monkeypatch):
    """Each side alone and beside busy programs, of which none is left running."""
    before = set(psutil.Process().children(recursive=True))
    written = []
    monkeypatch.setattr(waiting, "SIDES", {"one": {"OMP_NUM_THREADS": "1"}})
    monkeypatch.setattr(waiting, "write_results", lambda *parts: written.append(parts))
    waiting.main(64, 1)
    assert {each for each in psutil.Process().children(recursive=True) if "while True" in each.cmdline()[-1]} <= before
    ((file, measured, table),) = written
    assert file == "benchmarks/results/waiting.json"
    sides = [waiting.OURS, *waiting.SIDES]
    assert {kind: list(turns) for kind, turns in measured["turns"].items()} == {"alone": sides, "busy": sides}
    assert all(len(each) == 1 and each[0].seconds > 0 for by in measured["turns"].values() for each in by.values())
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == sides
