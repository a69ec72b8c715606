"""Signals, edits and second runs at the worst moment: what is recorded is what ran, and what was done is kept."""

import os
import re
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from helpers import kills
from helpers.projects import ENVIRONMENT, run, set_params, write_weights
from stages.runtime.files import read_json

TRAINED = f"data/trained/{kills.RUN}"
TUNED = "data/hyperparameters/own_cnn"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A small study that is ready to train."""
    folder = tmp_path_factory.mktemp("interruptions") / "base"
    kills.make_study(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(base, tmp_path_factory) -> dict[str, str]:
    """The digests of a training and a tuning that nothing disturbed."""
    folder = copy(base, tmp_path_factory.mktemp("uninterrupted"))
    kills.repro(folder)
    return kills.digests(folder)


@pytest.fixture
def study(base, tmp_path) -> Path:
    """A copy of it for one test."""
    return copy(base, tmp_path)


def copy(base: Path, parent: Path) -> Path:
    return shutil.copytree(base, parent / "study", symlinks=True)


def start(study: Path, stage: str = kills.STAGE) -> subprocess.Popen[str]:
    """Start `dvc repro` in a process group of its own, where Ctrl-C works though it be ignored here (`make test &`)."""
    return subprocess.Popen(
        ["dvc", "repro", stage],
        cwd=study,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(study: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    """Wait until a file below the study matches."""
    while not list(study.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def trainers(study: Path) -> list[psutil.Process]:
    return [process for process in kills.processes_in(study) if "stages.train" in process.cmdline()]


@pytest.mark.parametrize(
    ("number", "target"),
    [
        (signal.SIGINT, "group"),  # Ctrl-C in a terminal
        (signal.SIGTERM, "trainer"),
        (signal.SIGTERM, "dvc"),
        (signal.SIGKILL, "trainer"),
        (signal.SIGKILL, "dvc"),
        (signal.SIGKILL, "group"),
    ],
)
def test_an_interrupted_training_goes_on_and_ends_in_the_same_bytes(study, uninterrupted, number, target):
    """No process is left, nothing looks finished, no lock is in the way, and finished epochs are not run again."""
    process = start(study)
    wait_for(study, "data/checkpoints/own_cnn-default-original-1.pt", process)
    if target == "group":
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid if target == "dvc" else trainers(study)[0].pid, number)
    process.communicate()
    assert not kills.processes_left(study)
    assert not list((study / TRAINED).glob("*"))
    output = kills.repro(study)
    assert len(re.findall(rf"epoch \d+/{kills.EPOCHS}", output)) < kills.EPOCHS
    assert kills.digests(study) == uninterrupted
    assert list((study / "data/checkpoints").iterdir()) == []


def test_a_stage_that_is_forced_to_run_trains_again(study, uninterrupted):
    """Nothing is kept beside DVC's cache, and that is not asked: the bytes are the same, the seconds are others."""
    kills.repro(study)
    seconds = read_json(study / TRAINED / "timing.json")["seconds"]
    output = run("dvc", "repro", "-f", "-s", kills.STAGE, folder=study)
    assert len(re.findall(rf"epoch \d+/{kills.EPOCHS}", output)) == kills.EPOCHS
    assert kills.digests(study) == uninterrupted
    assert read_json(study / TRAINED / "timing.json")["seconds"] != seconds


@pytest.mark.parametrize(
    ("stage", "folder"), [("augment", "data/augmented"), ("embed@own_cnn-original", "data/features/own_cnn/original")]
)
def test_data_that_a_kill_left_half_written_is_made_anew(base, tmp_path, stage, folder):
    """Byte for byte as without the kill, and nothing of the half is left."""
    study, whole = copy(base, tmp_path), copy(base, tmp_path / "whole")
    for project in (study, whole):
        set_params(project, networks__own_cnn=write_weights(project))
    kills.repro(whole, stage)
    process = start(study, stage)
    wait_for(study, f"{folder}*.unfinished", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not kills.processes_left(study)
    assert not list((study / folder).glob("*"))
    assert f"Running stage '{stage}'" in kills.repro(study, stage)
    found, expected = (
        {path.name: path.read_bytes() for path in (project / folder).iterdir()} for project in (study, whole)
    )
    assert found == expected
    assert list((study / folder).parent.glob("*.unfinished")) == []


def test_an_interrupted_tuning_goes_on_after_its_last_finished_trial(base, tmp_path):
    """And ends in the same choice, table of trials and weights, byte for byte."""
    study, whole = copy(base, tmp_path), copy(base, tmp_path / "whole")
    for folder in (study, whole):
        set_params(folder, study__hyperparameters=["default", "tuned"], search__trials=4)
    kills.repro(whole, "tune@own_cnn")
    process = start(study, "tune@own_cnn")
    while "trial 2/4: epoch" not in (line := process.stdout.readline()):
        assert line, "the tuning ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not kills.processes_left(study)
    assert "trial 1/4: epoch" not in kills.repro(study, "tune@own_cnn")
    names = {path.relative_to(whole / TUNED) for path in (whole / TUNED).rglob("*") if path.is_file()}
    assert {Path("trained-default/weights.safetensors"), Path("trained-tuned/weights.safetensors")} < names
    for name in names - {Path("timings.json")}:
        assert (study / TUNED / name).read_bytes() == (whole / TUNED / name).read_bytes()
    assert not (study / "data/checkpoints/tune-own_cnn").exists()


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("stages/training/loop.py", "stages/training"),
        ("data/validation/note.txt", "data/validation"),
    ],
)
def test_what_is_edited_during_a_stage_is_not_recorded_as_used(study, path, named):
    """The stage fails with a line that names the edit, and is still to be run."""
    process = start(study)
    wait_for(study, "data/checkpoints/own_cnn-default-original-1.pt", process)
    with (study / path).open("a", encoding="utf-8") as file:
        file.write("\n# edited\n")
    output = process.communicate()[0]
    assert process.returncode != 0
    assert f"error: {named} changed while {kills.STAGE} was running" in output
    assert f"train@{kills.RUN}:" not in (study / "dvc.lock").read_text(encoding="utf-8")


def test_a_setting_edited_during_a_stage_is_not_recorded_as_used(study):
    """As code and data are not: augment reads the seed."""
    set_params(study, augment__copies=50)
    process = start(study, "augment")
    wait_for(study, "data/augmented*.unfinished", process)
    set_params(study, seed=77)
    output = process.communicate()[0]
    assert process.returncode != 0
    assert "error: params.yaml: seed changed while augment was running" in output
    assert "augment:" not in (study / "dvc.lock").read_text(encoding="utf-8")


def test_two_repros_at_once_never_train_the_same_run_twice(study, uninterrupted):
    """The second is told that the stage is busy; the first ends as if alone."""
    first = start(study)
    wait_for(study, "data/checkpoints/own_cnn-default-original-1.pt", first)
    second = start(study)
    most = 0
    while second.poll() is None:
        most = max(most, len(trainers(study)))
        time.sleep(0.05)
    second_output, first_output = second.communicate()[0], first.communicate()[0]
    assert first.returncode == 0, first_output
    assert most <= 1
    assert second.returncode == 0 or "busy" in second_output or "Unable to acquire lock" in second_output
    assert kills.digests(study) == uninterrupted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk that this test fills")
def test_a_full_disk_is_said_in_words_and_leaves_no_half_file(study):
    """The line names the file; with room again, the next run ends well."""
    small = study / "data/trained"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        process = start(study)
        output = process.communicate()[0]
        assert process.returncode != 0
        assert "error: the disk is full: data/trained" in output
        assert "Traceback" not in output
        assert [path for path in small.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", small], check=True)
    kills.repro(study)
    assert (study / TRAINED / "weights.safetensors").exists()
