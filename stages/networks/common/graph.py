"""A network as an ONNX graph, whose weights stay in a file of their own.

The graph is exported once for a network and its input size. Its weights stay in a safetensors file beside it, as what
ONNX calls external data. Input `images`: uint8 (n, size, size, 3), RGB. Outputs, as float32: `features` (n, d), which
the head is given, `logits` (n, classes), and of a trained network `probabilities` (n, classes).
"""

import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stages.runtime.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from stages.networks.common.contract import Normalisation

WEIGHTS_FILE = "weights.safetensors"  # in the folder of the graph
METADATA = "study"  # the key of the graph's and the weights' metadata
OPSET = 20
PASSED_THROUGH = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze")  # which keep a mean over places what it is
MAX_HEADER = 100_000_000  # bytes, as safetensors itself allows


def export_graph(model: "nn.Module", head: str, normalisation: "Normalisation", image_size: int) -> onnx.ModelProto:
    """Return the graph of a network; its initializers have the names of the state dict, and no values.

    `head` is the name of the last layer, e.g. "fc".
    """
    import torch  # takes seconds to import, and who answers images needs the graph alone

    class WithPreprocessing(torch.nn.Module):
        """Normalises images and returns the head's input beside the logits."""

        def __init__(self) -> None:
            super().__init__()
            self.network = model
            self.image_mean = torch.tensor(normalisation.mean).view(3, 1, 1)
            self.image_deviation = torch.tensor(normalisation.standard_deviation).view(3, 1, 1)

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features: list[torch.Tensor] = []
            hook = model.get_submodule(head).register_forward_pre_hook(lambda _, given: features.append(given[0]))
            logits = model((images.permute(0, 3, 1, 2).float() - self.image_mean) / self.image_deviation)
            hook.remove()
            return features[0], logits

    for tensor in model.state_dict().values():  # the exporter would merge tensors of equal values
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor)
    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            WithPreprocessing().eval(),
            (torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8),),
            written,  # type: ignore[arg-type]  # a file object will do, as its documentation says
            input_names=["images"],
            output_names=["features", "logits"],
            dynamic_axes={name: {0: "n"} for name in ("images", "features", "logits")},
            opset_version=OPSET,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # else batch norms are folded into convolutions, names lost
            dynamo=False,  # the exporter by torch.export takes ten times as long, for the same graph
        )
    graph = onnx.load_from_string(written.getvalue())
    _fix_paddings(graph, image_size)
    _name_as_state_dict(graph, set(model.state_dict()))
    return graph


def _fix_paddings(model: onnx.ModelProto, image_size: int) -> None:
    """Write down how much each layer pads an image, where the graph would work that out from the size of each batch.

    ONNX Runtime then pads within its convolutions: EfficientNet-Lite0 answers 1.5 times as fast, with the same bits.
    """
    import onnxruntime

    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    pads = [node for node in model.graph.node if node.op_type == "Pad" and producers.get(node.input[1]) != "Constant"]
    names = list(dict.fromkeys(node.input[1] for node in pads))
    if not names:
        return
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = session.run(names, {"images": np.zeros((1, image_size, image_size, 3), np.uint8)})
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        model.graph.initializer.append(numpy_helper.from_array(value, f"padding_{number}"))
        for node in pads:
            node.input[:] = [f"padding_{number}" if each == name else each for each in node.input]
    _drop_unused(model)


def _drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and initializers that no output needs."""
    needed, kept = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(tensors)


def _name_as_state_dict(model: onnx.ModelProto, names: set[str]) -> None:
    """Name initializers as the network's state dict does, and drop their values and the number of classes."""
    renamed = {f"network.{name}": name for name in names}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.ClearField("doc_string")
    for tensor in model.graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
        if tensor.name in names:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
    del model.graph.value_info[:]
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_param = "classes"


def backbone_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the part of a graph that computes the features."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[1:]
    _add_feature_map(part)
    _drop_unused(part)
    return part


def _means_over_places(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Say whether a node takes means of (n, d, h, w) over height and width: not of tokens, or channels last."""
    constants = {each.output[0]: each.attribute[0].t for each in model.graph.node if each.op_type == "Constant"}
    axes = [constants[name] for name in node.input if name in constants]
    return node.op_type == "ReduceMean" and [sorted(numpy_helper.to_array(each) % 4) for each in axes] == [[2, 3]]


def _add_feature_map(model: onnx.ModelProto) -> None:
    """Give, where the features are means over places, what they are means of, as `feature_map` (n, d, h, w)."""
    producers = {name: node for node in model.graph.node for name in node.output}
    node = producers["features"]
    while node.op_type in PASSED_THROUGH and node.input[0] in producers:
        node = producers[node.input[0]]
    if node.op_type == "GlobalAveragePool" or _means_over_places(model, node):
        model.graph.node.append(helper.make_node("Identity", [node.input[0]], ["feature_map"]))
        shape = ["n", "d", "height", "width"]
        model.graph.output.append(helper.make_tensor_value_info("feature_map", TensorProto.FLOAT, shape))


def bind(model: onnx.ModelProto, weights: Path) -> onnx.ModelProto:
    """Return the graph with its weights in a safetensors file, which must lie in the same folder under this name.

    Raises KeyError where the file lacks a weight of the graph.
    """
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    header, start = safetensors_header(weights)
    for tensor in bound.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entry = header[tensor.name]
            begin, end = entry["data_offsets"]
            tensor.dims[:] = entry["shape"]
            tensor.ClearField("external_data")
            for key, value in {"location": weights.name, "offset": start + begin, "length": end - begin}.items():
                tensor.external_data.add(key=key, value=str(value))
    return bound


def with_head(backbone: onnx.ModelProto, head: str, power: float = 1.0) -> onnx.ModelProto:
    """Return a graph of features with a linear layer behind it, whose weights are external as all others.

    The layer is given sign(x) * |x| ** power of each feature x.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(backbone)
    for name in ("weight", "bias"):
        tensor = whole.graph.initializer.add(name=f"{head}{name}", data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
    whole.graph.initializer.append(helper.make_tensor("power", TensorProto.FLOAT, [], [power]))
    whole.graph.node.extend(
        [
            helper.make_node("Sign", ["features"], ["feature_signs"]),
            helper.make_node("Abs", ["features"], ["feature_sizes"]),
            helper.make_node("Pow", ["feature_sizes", "power"], ["powers"]),
            helper.make_node("Mul", ["feature_signs", "powers"], ["signed_powers"]),
            helper.make_node("Gemm", ["signed_powers", f"{head}weight", f"{head}bias"], ["logits"], transB=1),
        ]
    )
    whole.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "classes"]))
    return whole


def finished(
    model: onnx.ModelProto, weights: Path, metadata: str, temperature: float, *, flip_tta: bool
) -> onnx.ModelProto:
    """Return a trained network's graph: bound to its weights, with `probabilities` at a temperature as an output.

    With `flip_tta` logits are the means over an image and its mirror image.
    """
    whole = bind(model, weights)
    if flip_tta:
        _average_over_mirror_images(whole)
    whole.graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [temperature]))
    whole.graph.node.append(helper.make_node("Div", ["logits", "temperature"], ["scaled_logits"]))
    whole.graph.node.append(helper.make_node("Softmax", ["scaled_logits"], ["probabilities"], axis=1))
    whole.graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", "classes"]))
    helper.set_model_props(whole, {METADATA: metadata})
    return whole


def _average_over_mirror_images(model: onnx.ModelProto) -> None:
    """Have a graph run on its images and, behind them in the batch, their mirror images; logits become the means."""
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["images_and_mirrored" if name == "images" else name for name in node.input]
        node.output[:] = [f"{name}_of_both" if name in ("features", "logits") else name for name in node.output]
        node.input[:] = [f"{name}_of_both" if name in ("features", "logits") else name for name in node.input]
    constants = {"last": [-1], "before_first": [-(2**62)], "width_axis": [2], "backwards": [-1]}
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.INT64, [1], value) for name, value in constants.items()
    )
    graph.initializer.append(helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]))
    before = [
        helper.make_node("Slice", ["images", *constants], ["mirrored_images"]),
        helper.make_node("Concat", ["images", "mirrored_images"], ["images_and_mirrored"], axis=0),
    ]
    after = [
        helper.make_node("Split", ["features_of_both"], ["features", "mirrored_features"], axis=0, num_outputs=2),
        helper.make_node("Split", ["logits_of_both"], ["plain_logits", "mirrored_logits"], axis=0, num_outputs=2),
        helper.make_node("Add", ["plain_logits", "mirrored_logits"], ["sum_of_logits"]),
        helper.make_node("Mul", ["sum_of_logits", "half"], ["logits"]),
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def save(model: onnx.ModelProto, folder: Path) -> None:
    """Write a graph beside the weights that it is bound to."""
    (folder / "graph.onnx").write_bytes(model.SerializeToString(deterministic=True))


def embedded(folder: Path) -> onnx.ModelProto:
    """Return a bound graph with its weights inside, as one file for other programs."""
    model = onnx.load(folder / "graph.onnx", load_external_data=False)
    content = (folder / WEIGHTS_FILE).read_bytes()  # not by onnx, which follows none of the links that DVC may make
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            begin, length = int(entries["offset"]), int(entries["length"])
            if begin + length > len(content):
                raise UserError(f"{folder / WEIGHTS_FILE} is damaged; `dvc checkout` brings it")
            tensor.raw_data = content[begin : begin + length]
            tensor.ClearField("external_data")
            tensor.data_location = TensorProto.DEFAULT
    return model


def safetensors_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file, and where its data begins in bytes. Format: huggingface/safetensors.

    Raises OSError, ValueError or TypeError where it is no such file.
    """
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path} does not exist, or is no file")
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(MAX_HEADER, path.stat().st_size):
            raise ValueError("it does not begin as a safetensors file")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("its header is no object")
    return header, 8 + length
