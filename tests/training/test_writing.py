"""What a training leaves."""

import pytest

from stages.images.preparation import Preparation
from stages.networks.common.engine import Engine
from stages.networks.common.settings import TrainingConfig
from stages.networks.common.weights import required_metadata
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.files import read_csv, read_json
from stages.training import writing
from stages.training.loop import fit
from stages.training.state import Task
from tests.training.test_loop import PLAIN, coloured, settings


def test_the_files_of_a_training_are_written(tmp_path, monkeypatch):
    """Weights and their graph, a line per epoch, and what it took; the graph says what the weights say."""
    monkeypatch.setattr(writing, "preparation_of", lambda _: Preparation(64))
    task = Task(own_cnn, TrainingConfig(settings(epochs=2), PLAIN), coloured(33, 0), coloured(12, 1), 1)
    result = fit(task, "test")
    writing.write_training(task, result, tmp_path)
    names = {"weights.safetensors", "graph.onnx", "history.csv", "timing.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    metadata = required_metadata(tmp_path / "weights.safetensors")
    assert Engine(tmp_path / "graph.onnx").metadata() == metadata.as_json()
    assert (metadata.class_names, metadata.preparation) == (["red", "green", "blue"], Preparation(64))
    assert [row["epoch"] for row in read_csv(tmp_path / "history.csv")] == ["1", "2"]
    timing = read_json(tmp_path / "timing.json")
    assert (timing["epochs"], timing["images"]) == (2, 33)
    assert timing["images_per_second"] == pytest.approx(66 / result.seconds, rel=0.01)
