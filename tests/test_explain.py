"""Stage explain: what the best run got wrong, each with a map of where it looked."""

import cv2
import numpy as np
import pyarrow.parquet as pq
from scipy.special import softmax

from helpers.projects import set_params
from stages import explain
from stages.explanation.examples import MISTAKE
from stages.images.shards import read_rows
from stages.networks.common.weights import required_metadata

RUN = "own_cnn-default-original-1"


def explained(folder, network: str):
    set_params(folder, study__networks=[network])
    explain.main()
    return pq.read_table("data/examples.parquet")


def test_mistakes_are_shown_with_what_was_said_and_where_it_was_seen(study_copy):
    """Their images are the test images, their probabilities those that evaluate kept."""
    table = explained(study_copy, "own_cnn").to_pydict()
    predictions = pq.read_table(f"data/predictions/{RUN}/predictions.parquet").to_pydict()
    temperature = required_metadata(f"data/trained/{RUN}/weights.safetensors").temperature
    probabilities = softmax(np.array(predictions["logits"]) / temperature, axis=1)
    images = {row.path: row.encoded for row in read_rows("data/test")}
    assert MISTAKE in table["why"]
    for number, path in enumerate(table["path"]):
        said = probabilities[predictions["path"].index(path)]
        assert (table["predicted"][number], table["image"][number]) == (said.argmax(), images[path])
        assert table["probability"][number] == said.max()
        heat_map = cv2.imdecode(np.frombuffer(table["heat_map"][number], np.uint8), cv2.IMREAD_UNCHANGED)
        assert heat_map.shape == (64, 64)
    assert len({*table["heat_map"]}) > 1


def test_of_a_run_that_is_always_right_there_is_nothing_to_show(study_copy):
    """An empty table is no mistake."""
    assert explained(study_copy, "efficientnet_lite0").num_rows == 0


def test_the_best_run_is_explained(study_copy):
    """Of several networks."""
    set_params(study_copy, study__networks=["own_cnn", "efficientnet_lite0"])
    explain.main()
    assert pq.read_table("data/examples.parquet").num_rows == 0
