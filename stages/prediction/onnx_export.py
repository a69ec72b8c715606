"""Trained networks as ONNX: preparation, network and class names in one file for programs without torch.

Input `photographs`: uint8 (n, height, width, 3), RGB, of any size, the same for all. Inside, the middle square is cut
out, resized to the network's size as the study resizes, as near as ONNX can, and normalised. Output `probabilities`:
float32 (n, classes). The metadata has `class_names`, a JSON list.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.hardware import device
from stages.networks.common.image_set import ImageSet, load_images
from stages.prediction.classifier import Classifier
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file

OPSET = 20
CALIBRATION = 200  # validation images that tell the range of each layer's values
MISSING = "ONNX is not installed here: pip install onnx onnxruntime onnxscript, or `make install`"


class Whole(nn.Module):
    """A network with what comes before and after it: prepared photographs to probabilities."""

    mean: Tensor
    scale: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.model = classifier.trained.model.cpu().eval()
        self.temperature = classifier.temperature
        self.register_buffer("mean", torch.tensor(classifier.trained.normalisation.mean)[:, None, None])
        self.register_buffer("scale", torch.tensor(classifier.trained.normalisation.standard_deviation)[:, None, None])

    def forward(self, photographs: Tensor) -> Tensor:
        """Images (n, size, size, 3), 0 to 255 as float32, to probabilities (n, classes)."""
        images = (photographs.permute(0, 3, 1, 2) - self.mean) / self.scale
        return torch.softmax(self.model(images) / self.temperature, dim=1)


def write_onnx(file: Path, classifier: Classifier) -> str:
    """Write the network to a file; return a line that says what it is."""
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(with_preparation(_network(classifier), classifier).SerializeToString())
    return f"{file}: {len(classifier.trained.class_names)} classes, opset {OPSET}, {file.stat().st_size / 1e6:.1f} MB"


def write_int8(file: Path, classifier: Classifier) -> str:
    """Write the network with weights and features in 8 bits; return what that costs on the study's validation images.

    Raises UserError where there are none.
    """
    _onnx()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not Path("data/validation").is_dir():
        raise UserError("--int8 takes the study's validation images, and data/validation is missing: `dvc checkout`")
    validation = load_images("data/validation", torch.device("cpu"), classifier.trained.image_size)

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.rest = iter(validation.pixels[:CALIBRATION].float().numpy())

        def get_next(self) -> Any:
            return {"photographs": one[None]} if (one := next(self.rest, None)) is not None else None

    import onnx

    with TemporaryDirectory() as temporary:
        full, ready, small = (Path(temporary) / name for name in ("full.onnx", "ready.onnx", "small.onnx"))
        onnx.save(_network(classifier), full)
        quant_pre_process(full, ready, skip_symbolic_shape=True)
        heavy = ["Conv", "Gemm", "MatMul"]  # what takes time
        quantize_static(
            ready, small, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, op_types_to_quantize=heavy
        )
        full_one, whole = (with_preparation(onnx.load(each), classifier) for each in (full, small))
        before, after = (correct(each, validation) for each in (full_one, whole))
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(whole.SerializeToString())
    return (
        f"{file}: in 8 bits, {file.stat().st_size / 1e6:.1f} MB; right of {len(validation)} validation images:"
        f" {100 * after:.1f} %, in 32 bits {100 * before:.1f} %"
    )


def correct(model: Any, images: ImageSet) -> float:
    """Return the share of images whose class a network of this module's names correctly."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    chunks = images.pixels.split(64)  # type: ignore[no-untyped-call]
    said = np.concatenate([session.run(None, {"photographs": chunk.numpy()})[0] for chunk in chunks])
    return float((said.argmax(axis=1) == images.labels.numpy()).mean())


def _network(classifier: Classifier) -> Any:
    """Return the network from prepared photographs (n, size, size, 3), as float32, to probabilities."""
    _onnx()
    size = classifier.trained.image_size
    example = torch.zeros(2, size, size, 3)
    program = torch.onnx.export(
        Whole(classifier).eval(),
        (example,),
        input_names=["photographs"],
        output_names=["probabilities"],
        dynamic_shapes={"photographs": {0: torch.export.Dim("n")}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    return program.model_proto


def with_preparation(network: Any, classifier: Classifier) -> Any:
    """Return a network of `_network` behind what makes photographs (n, height, width, 3) of uint8 its input."""
    import onnx
    from onnx import TensorProto, compose, helper

    size = classifier.trained.image_size
    crop = helper.make_graph(
        [
            helper.make_node("Shape", ["photographs"], ["shape"]),
            helper.make_node("Gather", ["shape", "height_and_width"], ["sides"]),
            helper.make_node("ReduceMin", ["sides"], ["shortest"], keepdims=1),
            helper.make_node("Sub", ["sides", "shortest"], ["spare"]),
            helper.make_node("Div", ["spare", "two"], ["start"]),
            helper.make_node("Add", ["start", "shortest"], ["end"]),
            helper.make_node("Slice", ["photographs", "start", "end", "height_and_width"], ["square"]),
            helper.make_node("Cast", ["square"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["numbers"], ["channels_first"], perm=[0, 3, 1, 2]),
            helper.make_node("Gather", ["shape", "first"], ["number"]),
            # all four sides, for onnxruntime's optimizer is wrong about a Resize of two axes beside a Transpose
            helper.make_node("Concat", ["number", "channels_and_sides"], ["wanted"], axis=0),
            helper.make_node("Resize", ["channels_first", "", "", "wanted"], ["resized"], mode="linear", antialias=1),
            helper.make_node("Round", ["resized"], ["whole"]),
            helper.make_node("Transpose", ["whole"], ["prepared"], perm=[0, 2, 3, 1]),
        ],
        "preparation",
        [helper.make_tensor_value_info("photographs", TensorProto.UINT8, ["n", "height", "width", 3])],
        [helper.make_tensor_value_info("prepared", TensorProto.FLOAT, ["n", size, size, 3])],
        [
            helper.make_tensor("height_and_width", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("two", TensorProto.INT64, [1], [2]),
            helper.make_tensor("first", TensorProto.INT64, [1], [0]),
            helper.make_tensor("channels_and_sides", TensorProto.INT64, [3], [3, size, size]),
        ],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    before = helper.make_model(crop, opset_imports=opsets, ir_version=network.ir_version)
    renamed = compose.add_prefix(network, "network/", rename_inputs=False, rename_outputs=False)
    renamed = _input_renamed(renamed, "photographs", "prepared_photographs")
    whole = compose.merge_models(before, renamed, io_map=[("prepared", "prepared_photographs")])
    del whole.opset_import[:]  # merged, it says the same twice, which onnxruntime's tools take for none
    whole.opset_import.extend(opsets)
    names = json.dumps(classifier.trained.class_names, ensure_ascii=False)
    helper.set_model_props(whole, {"class_names": names, "image_size": str(size)})
    onnx.checker.check_model(whole, full_check=True)
    return whole


def _input_renamed(model: Any, before: str, after: str) -> Any:
    for value in model.graph.input:
        value.name = after if value.name == before else value.name
    for node in model.graph.node:
        node.input[:] = [after if name == before else name for name in node.input]
    return model


def _onnx() -> None:
    """Raise UserError where what writes ONNX is not installed."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise UserError(MISSING) from None
    onnxruntime.set_default_logger_severity(3)
    del onnx
    device.use_available_cores()
