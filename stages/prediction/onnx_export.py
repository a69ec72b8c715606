"""Trained networks as one ONNX file for other programs, and beside it the function that prepares images for it.

Input `images`: uint8 (n, size, size, 3), RGB, as prepare_images.py makes them. Outputs: `probabilities` (n, classes),
`logits` and `features`, float32. The metadata `study` is what the study's own file of weights says, as JSON.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from stages.images import bit_depth, formats, preparation, reading
from stages.images.preparation import at_size
from stages.images.reading import decode
from stages.images.shards import read_rows
from stages.networks.common import graph
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.weights import Metadata, metadata_of
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file, write_text

CALIBRATION_IMAGES = 200  # of validation, which tell the range of each layer's values
SCRIPT = "prepare_images.py"
USE = '''

def prepare_images(paths, study):
    """Return image files as the network takes them: uint8 (n, size, size, 3). `study`: its metadata, from JSON."""
    how = Preparation(**study["preparation"])
    return np.stack([how.prepared(Path(path), study["image_size"]) for path in paths])
'''


def write_onnx(file: Path, run: Path) -> str:
    """Write the network in the folder of a run as one file, and the script beside it; return a line that says so."""
    model = _embedded(run)
    _write(file, model)
    write_text(file.with_name(SCRIPT), preparation_script())
    classes = len(_metadata(run).class_names)
    return f"{file}: {classes} classes, {file.stat().st_size / 1e6:.1f} MB; {SCRIPT} beside it prepares images for it"


def write_int8(file: Path, run: Path) -> str:
    """Write the network with weights and features in 8 bits; return what that costs on the study's test images.

    Raises UserError where there are none.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    size = _metadata(run).image_size
    (calibrating, _), (images, labels) = _images("validation", size), _images("test", size)

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.rest = iter(calibrating[:CALIBRATION_IMAGES])

        def get_next(self) -> Any:
            return {"images": image[None]} if (image := next(self.rest, None)) is not None else None

    full = _embedded(run)
    with TemporaryDirectory() as temporary:
        source, ready, small = (Path(temporary) / name for name in ("full.onnx", "ready.onnx", "small.onnx"))
        onnx.save(full, source)
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        heavy = ["Conv", "Gemm", "MatMul"]  # what takes time
        quantize_static(
            ready, small, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, op_types_to_quantize=heavy
        )
        quantised = onnx.load(small)
    onnx.helper.set_model_props(quantised, {graph.METADATA: _metadata(run).as_json()})
    before, after = (_accuracy(model, images, labels) for model in (full, quantised))
    _write(file, quantised)
    write_text(file.with_name(SCRIPT), preparation_script())
    return (
        f"{file}: in 8 bits, {file.stat().st_size / 1e6:.1f} MB; {100 * after:.1f} % of {len(labels)} test images"
        f" correct, in 32 bits {100 * before:.1f} %"
    )


def _images(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the study's images of a split, uint8 (n, size, size, 3), and their labels (n,)."""
    if not Path(f"data/{name}").is_dir():
        raise UserError(f"--int8 takes the study's {name} images, and data/{name} is missing: `dvc checkout`")
    rows = list(read_rows(f"data/{name}"))
    return np.stack([at_size(decode(row.encoded), size) for row in rows]), np.array([row.label for row in rows])


def preparation_script() -> str:
    """Return a Python file that prepares images as the study does: its own code, without the project around it."""
    parts = [
        Path(str(module.__file__)).read_text(encoding="utf-8") for module in (formats, bit_depth, reading, preparation)
    ]
    own_imports = r"(?m)^from stages\.[\w.]+ import (?:\([^)]*\)|[^\n]*)\n"
    code = "\n\n".join(re.sub(own_imports, "", part) for part in parts)
    return f"# Needs numpy, opencv-python-headless and pillow (and pi-heif for HEIC).\n{code}{USE}"


def _metadata(run: Path) -> Metadata:
    found = metadata_of(run / graph.WEIGHTS_FILE)
    if found is None:
        raise UserError(f"{run / graph.WEIGHTS_FILE} is no network of this project's")
    return found


def _embedded(run: Path) -> onnx.ModelProto:
    if not (run / "graph.onnx").is_file():
        raise UserError(f"{run / 'graph.onnx'} is missing; `dvc checkout` or `dvc repro` brings it")
    return graph.embedded(run)


def _write(file: Path, model: onnx.ModelProto) -> None:
    if file.is_dir() or (file.exists() and not file.is_file()):
        raise UserError(f"{file} is no file that can be written; name one, e.g. {file / 'birds.onnx'}")
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(model.SerializeToString())


def _accuracy(model: onnx.ModelProto, images: np.ndarray, labels: np.ndarray) -> float:
    runner = OnnxRunner(model)
    logits = np.concatenate([runner.run(part, "logits")[0] for part in np.array_split(images, len(images) // 64 + 1)])
    return float((logits.argmax(axis=1) == labels).mean())
