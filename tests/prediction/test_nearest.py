"""The training photographs most like a photograph."""

from pathlib import Path

import numpy as np
import pytest

from stages.images.preparation import at_size
from stages.images.reading import decode
from stages.images.shards import class_names, read_rows
from stages.networks.common.runner import inference_runner
from stages.networks.common.weights import required_metadata
from stages.prediction.nearest import TrainingImages


@pytest.mark.parametrize("run", ["own_cnn-default-original-1", "efficientnet_lite0-default-original-1"])
def test_a_training_photograph_is_nearest_to_itself(at_study, run):
    """By the features that embed has kept, and where it has none by the network's own."""
    folder = Path("data/trained") / run
    metadata, runner = required_metadata(folder / "weights.safetensors"), inference_runner(folder)
    training = TrainingImages.of(runner, metadata)
    fourth = decode([row.encoded for row in read_rows("data/original")][3])
    (features,) = runner.run(at_size(fourth, metadata.image_size)[None], "features")
    found = training.nearest(features)
    assert len(found) == 3
    assert np.array_equal(found[0].image, fourth)
    assert found[0].class_name in class_names("data/original")


def test_without_a_study_there_are_none(tmp_path, monkeypatch):
    """As where somebody was given a file of weights alone."""
    monkeypatch.chdir(tmp_path)
    assert TrainingImages.of(None, None) is None
