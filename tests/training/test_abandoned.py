"""The folder of checkpoints stays small, and nothing that somebody works on is removed."""

import os
import time
from pathlib import Path

import pytest

from stages.training.abandoned import DAY, Stored, abandoned
from stages.training.checkpoint import Checkpoint

NOW = 1000 * DAY


@pytest.mark.parametrize(
    ("files", "gone"),
    [
        ([], []),
        ([("a", 1e9, 29), ("b", 1e9, 31)], ["b"]),
        ([("a", 4e9, 2), ("b", 4e9, 3), ("c", 4e9, 4), ("d", 1e9, 5)], ["c", "d"]),
        ([("a", 40e9, 0.5), ("b", 1e9, 2)], ["b"]),  # one that may be in use stays, however large
        ([("a", 40e9, -5), ("b", 1e9, 0.5)], []),  # a clock put right since
    ],
)
def test_what_is_old_or_too_much_goes_the_oldest_first(files, gone):
    """Thirty days, ten gigabytes; ages in days."""
    stored = [Stored(Path(name), int(size), NOW - age * DAY) for name, size, age in files]
    assert [file.path.name for file in abandoned(stored, NOW)] == gone


def test_a_run_that_ends_removes_what_others_left_long_ago(project, capsys):
    """Its own checkpoint, and those of settings that were tried last month and left; with a line that says so."""
    folder = Path("data/checkpoints")
    folder.mkdir(parents=True)
    names = ["own.1.safetensors", "own.2.safetensors", "old.1.journal", "old.1.journal.lock", "new.1.safetensors"]
    for name in names:
        (folder / name).write_bytes(b"1234")
        if name.startswith("old"):
            os.utime(folder / name, (time.time() - 40 * DAY,) * 2)
    Checkpoint("own", "1").remove()
    assert [path.name for path in folder.iterdir()] == ["new.1.safetensors"]
    assert capsys.readouterr().out == "removed 2 abandoned checkpoints and trainings from data/checkpoints, 0.0 GB\n"
