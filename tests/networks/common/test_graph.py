"""A network's ONNX graph answers as the network does in torch, whatever weights lie beside it."""

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from stages.networks.common import graph
from stages.networks.common.contract import Normalisation, network_named
from stages.networks.common.prediction import add_flip_tta, normalised, raise_features_to_power
from stages.networks.common.runner import OnnxRunner
from tests.conftest import network_settings

NORMALISATION = Normalisation((120.0, 110.0, 100.0), (60.0, 50.0, 40.0))
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


def built(name: str, classes: int, seed: int) -> torch.nn.Module:
    """Return a network whose every number is its own: running means too, and a head that tells images apart."""
    torch.manual_seed(seed)
    network = network_named(name)
    model = network.build(network_settings(name, weights="none", input_size=64), classes, 64).eval()
    for key, tensor in model.state_dict().items():
        if "running" in key:
            tensor.uniform_(0.5, 1.5)
    with torch.no_grad():
        model.get_parameter(f"{network.head}weight").normal_()
    return model


def answered(model: torch.nn.Module) -> np.ndarray:
    """Return the logits that torch gives."""
    with torch.inference_mode():
        return model(normalised(torch.from_numpy(IMAGES), NORMALISATION)).numpy()


@pytest.fixture(scope="module", params=["own_cnn", "resnet50", "efficientnet_lite0"])
def exported(request) -> tuple[str, onnx.ModelProto]:
    """Return a network's name and its graph, exported for two classes."""
    name = request.param
    head = network_named(name).head.rstrip(".")
    return name, graph.export_graph(built(name, 2, 1), head, NORMALISATION, 64)


@pytest.mark.parametrize("flip_tta", [False, True])
def test_a_trained_network_answers_by_its_graph_as_by_torch(exported, flip_tta, tmp_path):
    """With weights and a number of classes that the export never saw, beside it or inside; of mirror images as well."""
    name, unbound = exported
    model = built(name, 5, 2)
    save_file(model.state_dict(), tmp_path / graph.WEIGHTS_FILE)
    metadata = '{"an": "example"}'
    graph.save(graph.finished(unbound, tmp_path / graph.WEIGHTS_FILE, metadata, 1.5, flip_tta=flip_tta), tmp_path)
    if flip_tta:
        add_flip_tta(model)
    expected = answered(model)
    shown = torch.softmax(torch.from_numpy(expected) / 1.5, 1).numpy()
    inside = graph.embedded(tmp_path)
    onnx.checker.check_model(inside, full_check=True)
    for runner in (OnnxRunner(tmp_path / "graph.onnx"), OnnxRunner(inside)):
        assert runner.metadata() == metadata
        logits, probabilities = runner.run(IMAGES, "logits", "probabilities")
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
        np.testing.assert_allclose(probabilities, shown, atol=1e-4)
        (alone,) = runner.run(IMAGES[1:2], "logits")
        np.testing.assert_allclose(alone[0], expected[1], atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("flip_tta", [False, True])
def test_a_head_of_its_own_raises_features_to_a_power_as_torch_does(exported, power, flip_tta, tmp_path):
    """Behind a backbone's graph, whose file of weights lacks a head at first."""
    name, unbound = exported
    head, model = network_named(name).head, built(name, 4, 3)
    save_file(model.state_dict(), tmp_path / graph.WEIGHTS_FILE)
    backbone = graph.backbone_of(unbound)
    assert not any(tensor.name.startswith(head) for tensor in backbone.graph.initializer)
    whole = graph.with_head(backbone, head, power)
    graph.save(graph.finished(whole, tmp_path / graph.WEIGHTS_FILE, "", 1.0, flip_tta=flip_tta), tmp_path)
    if power != 1:
        raise_features_to_power(model.get_submodule(head.rstrip(".")), power)
    if flip_tta:
        add_flip_tta(model)
    expected = answered(model)
    (found,) = OnnxRunner(tmp_path / "graph.onnx").run(IMAGES, "logits")
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_same_images_give_the_same_bits(exported, tmp_path):
    """Again, and by another session."""
    name, unbound = exported
    save_file(built(name, 2, 1).state_dict(), tmp_path / graph.WEIGHTS_FILE)
    graph.save(graph.bind(unbound, tmp_path / graph.WEIGHTS_FILE), tmp_path)
    first, *others = (OnnxRunner(tmp_path / "graph.onnx").run(IMAGES, "features")[0].tobytes() for _ in range(3))
    assert others == [first, first]


def test_a_graph_is_the_same_file_whatever_the_weights(exported, tmp_path):
    """So that DVC sees a change of weights as one of weights."""
    name, unbound = exported
    again = graph.export_graph(built(name, 2, 7), network_named(name).head.rstrip("."), NORMALISATION, 64)
    assert again.SerializeToString(deterministic=True) == unbound.SerializeToString(deterministic=True)


def test_weights_of_another_network_cannot_be_bound(exported, tmp_path):
    """The one that is missing is named."""
    save_file({"other": torch.zeros(2)}, tmp_path / graph.WEIGHTS_FILE)
    with pytest.raises(KeyError, match="weight"):
        graph.bind(exported[1], tmp_path / graph.WEIGHTS_FILE)


def test_no_graph_works_out_the_size_of_each_batch(exported):
    """It is known when the graph is made; ONNX Runtime cannot pad within convolutions by what it learns so late."""
    assert {node.op_type for node in exported[1].graph.node}.isdisjoint({"Shape", "Gather", "Slice", "Ceil"})
