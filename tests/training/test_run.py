"""The training of one run, from its files to its files."""

from pathlib import Path

import pytest

from stages.images.shards import ShardWriter
from stages.networks.common.settings import TrainingConfig
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.files import read_csv, read_json
from stages.training.loop import fit
from stages.training.state import Task
from stages.training.writing import write_training
from tests.training.test_loop import PLAIN, coloured, settings


def test_the_files_of_a_training_are_written(tmp_path, monkeypatch):
    """Weights, the graph, a line per epoch, and what it took."""
    monkeypatch.chdir(tmp_path)
    with ShardWriter(Path("data/validation"), ["crow"], preparation={"image_size": 64}):
        pass  # how its images were prepared
    task = Task(own_cnn, TrainingConfig(settings(epochs=2), PLAIN), coloured(33, 0), coloured(12, 1), 1)
    result = fit(task, "test")
    (folder := tmp_path / "run").mkdir()
    write_training(task, result, folder)
    written = {path.name for path in folder.iterdir()}
    assert written == {"weights.safetensors", "graph.onnx", "history.csv", "timing.json"}
    assert [row["epoch"] for row in read_csv(folder / "history.csv")] == ["1", "2"]
    timing = read_json(folder / "timing.json")
    assert (timing["epochs"], timing["images"]) == (2, 33)
    assert timing["images_per_second"] == pytest.approx(66 / result.seconds, rel=0.01)
