"""A classifier answers what can be answered, and says what is wrong with the rest and with itself."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.networks.common.graph import METADATA
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.weights import required_metadata
from stages.prediction.classifier import Classifier, load_classifier
from stages.prediction.inputs import Unreadable
from stages.runtime.errors import UserError

TRAINED = Path("data/trained/own_cnn-default-original-1")


class Said:
    """Gives the same probabilities for any image."""

    def run(self, images: np.ndarray, *names: str) -> list[np.ndarray]:
        """Give the same answer for each of the images (N, 3, height, width)."""
        assert names == ("probabilities", "logits")
        shares = np.tile(np.array([[0.2, 0.5, 0.3]], np.float32), (len(images), 1))
        return [shares, np.log(shares)]


@pytest.mark.parametrize(("below", "is_none"), [(1.1, False), (None, None), (1.2, True)])
def test_answers_come_in_order_the_most_probable_class_first(at_study, below, is_none):
    """With a reason in place of each that cannot be read; those of little evidence are none of these."""
    metadata = required_metadata(TRAINED / "weights.safetensors").model_copy(update={"none_of_these_below": below})
    image = np.zeros((64, 64, 3), np.uint8)
    chunks = [[("a", image), ("b", Unreadable("no file"))], [("c", Unreadable("empty"))], [("d", image)]]
    found = list(Classifier(metadata, Said(), Path("it")).predictions(chunks, 2))
    assert [(each.path, each.error) for each in found] == [("a", ""), ("b", "no file"), ("c", "empty"), ("d", "")]
    names = [name for name, _ in found[0].classes]
    assert names == ["jay", "owl"]
    assert [found[0].is_none, found[3].is_none] == [is_none] * 2


@pytest.mark.parametrize("way", ["graph", "torch"])
def test_weights_that_are_no_numbers_are_refused_in_words(study_copy, way):
    """As of a training that went wrong; a probability of nan would name the first class."""
    file = TRAINED / "weights.safetensors"
    metadata, tensors = required_metadata(file), load_file(file)
    tensors["classes.weight"] = np.full_like(tensors["classes.weight"], np.nan)
    save_file(tensors, file, {METADATA: metadata.as_json()})
    if way == "torch":
        file = Path(shutil.copy(file, "copied.safetensors"))
    classifier = load_classifier(file)
    assert isinstance(classifier.runner, OnnxRunner) == (way == "graph")
    with pytest.raises(UserError, match=f"{file}: its weights give no finite numbers"):
        classifier.finite_answers(np.zeros((2, 64, 64, 3), np.uint8))


def test_weights_that_were_cut_off_are_refused_in_words(study_copy):
    """Beside their graph, which knows where each number should lie."""
    file = TRAINED / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100_000])
    with pytest.raises(UserError, match=r"graph.onnx or its weights are damaged; `dvc checkout`"):
        load_classifier(file).finite_answers(np.zeros((2, 64, 64, 3), np.uint8))
