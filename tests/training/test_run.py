"""The training of one run, from its files to its files."""

import pytest

from stages.networks.common.settings import TrainingConfig
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.files import read_csv, read_json
from stages.training.loop import fit
from stages.training.run import write_training
from stages.training.state import Task
from tests.training.test_loop import PLAIN, coloured, settings


def test_the_files_of_a_training_are_written(tmp_path):
    """Weights, a line per epoch, and what it took."""
    task = Task(own_cnn, TrainingConfig(settings(epochs=2), PLAIN), coloured(33, 0), coloured(12, 1), 1)
    result = fit(task, "test")
    write_training(task, result, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"weights.safetensors", "history.csv", "timing.json"}
    assert [row["epoch"] for row in read_csv(tmp_path / "history.csv")] == ["1", "2"]
    timing = read_json(tmp_path / "timing.json")
    assert (timing["epochs"], timing["images"]) == (2, 33)
    assert timing["images_per_second"] == pytest.approx(66 / result.seconds, rel=0.01)
