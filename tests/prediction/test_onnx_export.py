"""A network in a file for other programs; what it says is in test_agreement.py."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.projects import ROOT
from stages.images.preparation import at_size
from stages.images.reading import decode
from stages.images.shards import read_rows
from stages.networks.common.graph import METADATA, OPSET
from stages.prediction.classifier import load_classifier
from stages.prediction.inputs import chunks_of
from stages.prediction.onnx_export import write_int8, write_onnx
from stages.runtime.errors import UserError

TRAINED = Path("data/trained/own_cnn-default-original-1")


def test_the_file_is_one_that_any_program_can_read(at_study, tmp_path):
    """With all weights inside and what is needed in its metadata; the checker finds no fault."""
    line = write_onnx(tmp_path / "it.onnx", TRAINED)
    assert line.startswith(f"{tmp_path}/it.onnx: 3 classes, 8.")
    model = onnx.load(tmp_path / "it.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == OPSET
    (said,) = [json.loads(entry.value) for entry in model.metadata_props if entry.key == METADATA]
    assert (said["class_names"], said["image_size"]) == (["crow", "jay", "owl"], 64)
    assert {path.name for path in tmp_path.iterdir()} == {"it.onnx", "prepare_images.py"}


def test_the_guide_s_lines_name_a_photograph(at_study, tmp_path):
    """As they stand there, in a folder with nothing of this project; as `classify` does."""
    photograph = "data/pictures/jay/000.png"
    guide = (ROOT / "docs/guides/classify-and-export.md").read_text(encoding="utf-8")
    lines = dedent(re.search(r"```python\n(.*?)```", guide, re.DOTALL)[1])
    write_onnx(tmp_path / "birds.onnx", TRAINED)
    shutil.copy(photograph, tmp_path / "photo.jpg")
    words = [sys.executable, "-c", lines]
    printed = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    classifier = load_classifier(TRAINED / "weights.safetensors")
    (expected,) = classifier.predictions(chunks_of([photograph], classifier.metadata), 3)
    assert re.findall(r"'(\w+)'", printed) == [name for name, _ in expected.classes]


def test_int8_is_smaller_and_says_what_it_costs(at_study, tmp_path):
    """On the study's test images, as measured."""
    line = write_int8(tmp_path / "small.onnx", TRAINED)
    write_onnx(tmp_path / "large.onnx", TRAINED)
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * (tmp_path / "large.onnx").stat().st_size
    rows = list(read_rows("data/test"))
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    assert METADATA in session.get_modelmeta().custom_metadata_map
    images = np.stack([at_size(decode(row.encoded), 64) for row in rows])
    named = session.run(["logits"], {"images": images})[0].argmax(1)
    right = 100 * (named == np.array([row.label for row in rows])).mean()
    assert f"{right:.1f} % of {len(rows)} test images" in line


@pytest.mark.parametrize("write", [write_onnx, write_int8])
def test_what_cannot_be_written_is_said_in_words(at_study, tmp_path, write, monkeypatch):
    """A folder or a device is no file; a run without a graph, and a study without its images, say what brings them."""
    with pytest.raises(UserError, match=r"is no file that can be written; name one, e.g. .*birds.onnx"):
        write(tmp_path, TRAINED)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is no file that can be written"):
        write(tmp_path / "pipe", TRAINED)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "pipe").unlink()
    with pytest.raises(UserError, match=r"weights.safetensors is no network|graph.onnx is missing; `dvc checkout`"):
        write(tmp_path / "it.onnx", Path("data/trained/gone"))
    if write is write_int8:
        run = TRAINED.absolute()
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match="data/validation is missing: `dvc checkout`"):
            write(tmp_path / "it.onnx", run)
    assert list(tmp_path.iterdir()) == []
