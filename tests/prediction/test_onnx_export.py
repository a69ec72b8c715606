"""What stands beside an exported network: a script that prepares images as the study does, without the project."""

import json
import sys
from dataclasses import asdict
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
from PIL import Image

from stages.images.preparation import Preparation
from stages.prediction.onnx_export import SCRIPT, preparation_script


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.tiff", "16_bits.png"])
def test_the_script_prepares_images_as_the_study_does(tmp_path, monkeypatch, name, fit):
    """To the same pixels, and by none of the project's modules."""
    pixels = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 16) if name == "16_bits.png" else Image.fromarray(pixels)
    image.save(tmp_path / name)
    (tmp_path / SCRIPT).write_text(preparation_script(), encoding="utf-8")
    spec = spec_from_file_location("prepare_images", tmp_path / SCRIPT)
    script = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prepare_images", script)
    for module in [module for module in sys.modules if module.split(".")[0] == "stages"]:
        monkeypatch.setitem(sys.modules, module, None)  # cannot be imported
    spec.loader.exec_module(script)
    how = Preparation(image_size=32, fit=fit, white_level=4095)
    study = json.loads(json.dumps({"preparation": asdict(how), "image_size": 24}))
    (prepared,) = script.prepare_images([tmp_path / name], study)
    assert (prepared == how.prepared(tmp_path / name, 24)).all()
