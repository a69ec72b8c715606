"""The evaluation of a run: what is scored is what the network says of the test images."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from stages import evaluate, train
from stages.evaluation.run import record_of
from stages.evaluation.run import test_outputs as outputs_of
from stages.images.shards import read_rows
from stages.networks.common.runner import Outputs, inference_runner, outputs_for
from stages.networks.common.weights import required_metadata
from stages.runtime.files import read_json, write_json

RUNS = ["own_cnn-default-original-1", "efficientnet_lite0-default-original-1"]


@pytest.mark.parametrize("run", RUNS)
def test_the_record_is_of_the_predictions_and_of_these_weights(at_study, run):
    """Whose digest it holds, so that nobody takes other weights for them."""
    record, table = read_json(f"metrics/runs/{run}.json"), pq.read_table(f"data/predictions/{run}/predictions.parquet")
    logits, labels = np.array(table["logits"].to_pylist()), table["label"].to_numpy()
    assert record["accuracy"] == (logits.argmax(1) == labels).mean()
    weights = Path(f"data/trained/{run}/weights.safetensors")
    assert record["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    metadata = required_metadata(weights)
    assert (record["temperature"], record["none_of_these_below"]) == (
        metadata.temperature,
        metadata.none_of_these_below,
    )
    assert record["settings"]["image_size"] == metadata.image_size
    assert len(record["history"]["loss"]) == 1
    assert [row.path for row in read_rows("data/test")] == table["path"].to_pylist()
    assert read_json(f"metrics/costs/{run}.json") == read_json(f"data/trained/{run}/timing.json")


def test_the_record_has_the_images_in_the_order_of_their_names(at_study):
    """Shards have them class by class: there an image moves when its label is mended, here it stays."""
    folder = Path(f"data/trained/{RUNS[0]}")
    metadata = required_metadata(folder / "weights.safetensors")
    outputs = outputs_of("own_cnn", folder, metadata)
    record, others = record_of(outputs, metadata, folder), np.random.default_rng(1).permutation(len(outputs.paths))
    mixed = Outputs(
        outputs.logits[others], outputs.labels[others],
        [outputs.paths[at] for at in others], [outputs.groups[at] for at in others],
    )  # fmt: skip
    assert record_of(mixed, metadata, folder) == record
    mended = outputs._replace(labels=(outputs.labels + 1) % 3)
    again = record_of(mended, metadata, folder)
    assert (again["test_images_sha256"], again["predicted"]) == (record["test_images_sha256"], record["predicted"])
    assert again["labels"] != record["labels"]


def test_the_head_of_a_frozen_backbone_is_scored_by_features_as_by_images(at_study):
    """Within 1e-4 of a probability, though no image is looked at again."""
    folder = Path(f"data/trained/{RUNS[1]}")
    metadata = required_metadata(folder / "weights.safetensors")
    by_features = outputs_of("efficientnet_lite0", folder, metadata)
    by_images = outputs_for(inference_runner(folder), "data/test", metadata.image_size)
    assert by_features.paths == by_images.paths
    assert (by_features.labels == by_images.labels).all()
    one, other = (softmax(each.logits, axis=1) for each in (by_features, by_images))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_head_learns_what_can_be_learnt(at_study):
    """Three colours are told apart by ImageNet's features, out of fold and on test images, with how sure it is."""
    record = read_json(f"metrics/runs/{RUNS[1]}.json")
    assert record["accuracy"] == 1
    assert record["history"]["accuracy"][0] > 0.9
    assert record["loss"] < 0.2


def test_a_run_that_is_the_same_as_another_refers_to_it(study_copy):
    """Where the search has kept the defaults: nothing is trained, scored or stored twice."""
    same, run = "own_cnn-tuned-original-1", RUNS[0]
    write_json("data/hyperparameters/own_cnn/trained-tuned/source.json", {"data": None, "same_as": "default"})
    train.main(*same.split("-"))
    evaluate.main(*same.split("-"))
    files = [f"data/trained/{same}/same_as.json", f"data/predictions/{same}/same_as.json"]
    files += [f"metrics/{kind}/{same}.json" for kind in ("runs", "costs")]
    assert [read_json(file) for file in files] == [{"same_as": run}] * 4
    assert len(list(Path(f"data/trained/{same}").iterdir())) == 1
