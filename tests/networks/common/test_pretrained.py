"""What a training starts from when it starts from weights."""

import pytest
import torch
from safetensors.torch import save_file

from stages.networks.common.contract import network_named, network_names
from stages.networks.common.pretrained import new_network
from tests.conftest import network_settings


@pytest.mark.parametrize("name", network_names())
def test_a_new_head_says_the_same_of_all_classes_and_learns_at_once(name, tmp_path, monkeypatch):
    """A head of random weights would send its noise through weights that know something."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"data/pretrained/{name}/given.safetensors"
    path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    network = network_named(name)
    save_file(network.build(network_settings(name), 3, 64).state_dict(), path)
    settings = network_settings(name, weights=f"data/pretrained/{name}/given.safetensors")
    model = new_network(network, settings, 4, 64)
    logits = model(torch.randn(2, 3, 64, 64))
    assert torch.equal(logits, torch.zeros(2, 4))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert model.get_parameter(f"{network.head}weight").grad.abs().sum() > 0
