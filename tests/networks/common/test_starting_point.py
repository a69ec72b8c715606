"""What a training starts from: random weights, or given ones below a head that says nothing yet."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.networks.common.contract import network_named, network_names
from stages.networks.common.starting_point import new_network
from tests.conftest import network_settings


@pytest.mark.parametrize("name", network_names())
def test_a_new_head_says_the_same_of_all_classes_and_learns_at_once(name, tmp_path, monkeypatch):
    """A head of random weights would send its noise through weights that know something, which stay as they are."""
    monkeypatch.chdir(tmp_path)
    file = Path(f"data/weights/{name}/weights.safetensors")
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    network, settings = network_named(name), network_settings(name, weights="given", freeze="none", input_size=64)
    given = network.build(settings, 3, 64).state_dict()
    save_file({key: tensor for key, tensor in given.items() if not key.startswith(network.head)}, file)
    model = new_network(network, settings, 4, 64)
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in load_file(file).items())
    logits = model(torch.randn(2, 3, 64, 64))
    assert torch.equal(logits, torch.zeros(2, 4))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert model.get_parameter(f"{network.head}weight").grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("freeze", "learning"),
    [
        ("none", {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"}),
        ("backbone", {"fc"}),
        ("until_layer4", {"layer4", "fc"}),
    ],
)
def test_freezing_leaves_the_named_layers_to_learn(freeze, learning):
    """None, all but the last layer, or all before the last group of blocks."""
    model = new_network(network_named("resnet50"), network_settings("resnet50", freeze=freeze), 4, 64)
    found = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert found == learning
