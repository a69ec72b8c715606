"""A training is done once: what the same settings, images, seed and code have given is taken again."""

import csv
import json
import math
from pathlib import Path

import pytest

from stages.networks.common.settings import TrainingConfig
from stages.networks.own_cnn import network as own_cnn
from stages.training import loop, results
from stages.training.finished import FILES, place
from stages.training.loop import DivergedError, fit
from stages.training.results import trained
from stages.training.state import Task
from tests.training.test_loop import PLAIN, coloured, settings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("original", "validation"):
        Path(f"data/{name}").mkdir(parents=True)
        Path(f"data/{name}/0.parquet").write_bytes(name.encode())


def task(seed: int = 1, **changes: object) -> Task:
    return Task(own_cnn, TrainingConfig(settings(epochs=2, **changes), PLAIN), coloured(33, 0), coloured(12, 1), seed)


@pytest.fixture
def fits(monkeypatch) -> list[str]:
    """What was trained, in order."""
    ran: list[str] = []

    def noted(task, description, *rest):
        ran.append(description)
        return fit(task, description, *rest)

    monkeypatch.setattr(results, "fit", noted)
    return ran


def test_the_same_training_is_done_once(fits):
    """Under whichever name it is asked for; with another seed, setting or set of images it is another."""
    first = trained(task(), "original", "one")
    assert trained(task(), "original", "two") == first
    assert fits == ["one"]
    for number, other in enumerate([task(seed=2), task(dropout=0.3)]):
        assert trained(other, "original", f"other {number}") != first
    Path("data/original/0.parquet").write_bytes(b"others")
    assert trained(task(), "original", "other images") != first
    assert fits == ["one", "other 0", "other 1", "other images"]


def test_what_is_taken_again_is_reported_epoch_by_epoch(fits):
    """As if it ran: a search that was interrupted sees the same numbers."""
    seen: list[list[object]] = [[], []]
    for epochs in seen:
        trained(task(), "original", "trial", epochs.append, resume=False)
    assert fits == ["trial"]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 2


def test_the_files_of_a_run_are_written_and_take_no_disk_twice():
    """Weights, a line per epoch, and what it took; nothing half is left under their names."""
    folder = trained(task(), "original", "one")
    place(folder, Path("data/trained/run"))
    place(folder, Path("data/trained/run"))  # again, over what is there
    for name in FILES:
        assert (folder / name).samefile(f"data/trained/run/{name}")
    with Path("data/trained/run/history.csv").open(encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert json.loads(Path("data/trained/run/timing.json").read_text(encoding="utf-8"))["epochs"] == 2
    assert not list(Path("data").rglob("*.unfinished"))


def test_a_trial_that_diverges_late_is_as_bad_as_one_that_diverges_at_once(monkeypatch):
    """It leaves nothing that a run could take."""
    coming = iter([(1.0, 0.5, 0.9), (math.nan, 0.5, math.nan)])
    monkeypatch.setattr(loop, "_validate", lambda *_: next(coming))
    with pytest.raises(DivergedError, match="trial diverged after 1 epochs"):
        trained(task(), "original", "trial", [].append, resume=False)
    assert not list(Path("data/checkpoints").rglob("*.safetensors"))
