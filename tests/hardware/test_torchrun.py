"""Several processes learn what one learns, outlive the death of one of them, and say what stands in their way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.projects import ROOT
from stages.hardware.torchrun import rendezvous
from stages.runtime.errors import UserError

# two have kernels of our own for what they normalise
CASES = [("own_cnn", 2), ("resnet50", 4), ("mobilenet_v3_large", 2)]


def train(folder: Path, network: str, count: int) -> Any:
    """Return what a training in so many processes saw."""
    done = start(folder, network, count)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{network}-{count}.json").read_text(encoding="utf-8"))


def start(folder: Path, network: str, count: int) -> subprocess.CompletedProcess[str]:
    words = ("-m", "tests.training.toy_training", f"{folder}/{network}-{count}.json", network)
    settings = {"PYTHONPATH": str(ROOT), "PET_NPROC_PER_NODE": str(count), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        (sys.executable, *words), cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("network", "count"), CASES)
def test_any_number_of_processes_learns_the_same(tmp_path, network, count):
    """In float32: the same images in the same order, and all that one learns, but for roundings.

    Of the last batch, which has two images, some of four processes have none.
    """
    alone, seen = (train(tmp_path, network, each) for each in (1, count))
    assert seen["order"] == alone["order"]
    assert len(seen["order"]) == 2 * 18
    assert seen["weights"] == pytest.approx(alone["weights"], rel=1e-4)
    for epoch, alike in zip(seen["history"], alone["history"], strict=True):
        assert epoch == pytest.approx(alike, rel=5e-3)


def test_after_the_death_of_a_process_all_go_on_from_the_last_epoch(tmp_path):
    """And end as if nothing had been, but for roundings: gradients are added up in another order after a start."""
    folders = [tmp_path / "calm", tmp_path / "deadly"]
    for folder in folders:
        folder.mkdir()
    (folders[1] / "die").touch()
    calm, deadly = (train(folder, "own_cnn", 4) for folder in folders)
    assert not (folders[1] / "die").exists()
    assert deadly["epochs"] == [2]  # of the processes that came after
    assert deadly["weights"] == pytest.approx(calm["weights"], rel=1e-6)
    for epoch, alike in zip(deadly["history"], calm["history"], strict=True):
        assert epoch == pytest.approx(alike, rel=1e-4)


def test_what_stands_in_the_way_is_said_once_and_not_tried_again(tmp_path):
    """In the words of a training in one process."""
    done = start(tmp_path, "none", 2)
    assert done.returncode == 1
    assert done.stderr.count("error: nothing to train\nerror: say which network\n") == 1
    assert "Traceback" not in done.stderr


def test_several_machines_meet_only_where_somebody_has_called_the_network_safe(monkeypatch):
    """Torch listens on every network, and runs what it is sent; under the name that DVC has for the stage."""
    assert rendezvous("stages.train", "own_cnn", "1") == ["--standalone"]
    monkeypatch.setenv("PET_NNODES", "2")
    with pytest.raises(UserError, match="say where the machines meet: PET_RDZV_ENDPOINT=host:29400"):
        rendezvous("stages.train", "own_cnn", "1")
    monkeypatch.setenv("PET_RDZV_ENDPOINT", "first:29400")
    with pytest.raises(UserError, match="set STUDY_TRUSTED_NETWORK=1"):
        rendezvous("stages.train", "own_cnn", "1")
    monkeypatch.setenv("STUDY_TRUSTED_NETWORK", "1")
    assert rendezvous("stages.train", "own_cnn", "1") == ["--rdzv-id=train@own_cnn-1"]
