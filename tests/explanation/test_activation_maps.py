"""Where a head on averaged features looked, as ONNX Runtime tells it, is where gradients say it did."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages.explanation.activation_maps import class_activation_maps
from stages.explanation.grad_cam import grad_cam
from stages.networks.common import graph
from stages.networks.common.contract import network_named
from stages.networks.common.prediction import normalised, raise_features_to_power
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.timm import Timm
from tests.conftest import network_settings


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_lite0"])
def test_its_maps_are_those_of_grad_cam(name, power, tmp_path):
    """Without torch; of features that are nothing as well."""
    network = network_named(name)
    torch.manual_seed(0)
    model = network.build(network_settings(name, weights="none", input_size=128), 3, 128).eval()
    save_file(model.state_dict(), tmp_path / graph.WEIGHTS_FILE)
    images, classes = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), np.uint8), np.array([2, 0])
    weight = model.get_parameter(f"{network.head}weight").detach().numpy().copy()
    unbound = graph.export_graph(network.build(network.schema(), 3, 128), network.head[:-1], network.normalisation, 128)
    graph.save(graph.bind(graph.backbone_of(unbound), tmp_path / graph.WEIGHTS_FILE), tmp_path)
    (features,) = OnnxRunner(tmp_path / "graph.onnx").run(images, "feature_map")
    raise_features_to_power(model.get_submodule(network.head[:-1]), power)
    expected = grad_cam(model, normalised(torch.from_numpy(images), network.normalisation), classes)
    assert expected.shape == (2, 4, 4)
    assert expected.std() > 0.1
    np.testing.assert_allclose(class_activation_maps(features, weight, classes, power), expected, atol=1e-3)


@pytest.mark.parametrize("architecture", ["mixer_s32_224", "swin_tiny_patch4_window7_224", "test_vit"])
def test_means_of_anything_else_are_not_taken_for_maps(architecture):
    """Of tokens in a row, or of features whose channels come last: gradients are asked instead."""
    network = Timm(architecture)
    model = network.build(network.schema(), 2, network.weights_image_size)
    exported = graph.export_graph(model, network.head[:-1], network.normalisation, network.weights_image_size)
    assert [output.name for output in graph.backbone_of(exported).graph.output] == ["features"]
