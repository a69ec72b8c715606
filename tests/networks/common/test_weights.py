"""A trained network's file holds all that prediction needs, and nothing that executes."""

import json

import pytest
import torch
from safetensors import safe_open

from stages.networks.common.contract import Normalisation
from stages.networks.common.weights import Trained, restore, save_weights
from stages.networks.own_cnn import network as own_cnn
from tests.conftest import network_settings

SETTINGS = network_settings("own_cnn", weights="data/pretrained/own_cnn/gone.safetensors")
NAMES = ["crow", "blue jay", "Eichelhäher"]


@pytest.fixture
def trained():
    torch.manual_seed(0)
    return Trained(own_cnn.build(SETTINGS, 3, 64).eval(), NAMES, 64, Normalisation((1, 2, 3), (4, 5, 6)))


def test_a_restored_network_predicts_the_same(trained, tmp_path):
    """To the bit; and without the file of weights that its own training had started from."""
    save_weights(tmp_path / "weights.safetensors", trained, "own_cnn", SETTINGS.model_dump())
    restored = restore(tmp_path / "weights.safetensors", own_cnn, torch.device("cpu"))
    images = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(restored.model(images), trained.model.to(memory_format=torch.channels_last)(images))
    assert restored[1:] == (NAMES, 64, Normalisation((1, 2, 3), (4, 5, 6)))


def test_what_no_file_of_weights_holds_is_made_anew(trained, tmp_path, monkeypatch):
    """A network of a user's own may be built with constants beside its weights."""
    build = own_cnn.build

    def with_constant(_, *asked):
        model = build(*asked)
        model.register_buffer("constant", torch.tensor(2.0), persistent=False)
        return model

    monkeypatch.setattr(type(own_cnn), "build", with_constant)
    save_weights(tmp_path / "weights.safetensors", trained, "own_cnn", SETTINGS.model_dump())
    assert restore(tmp_path / "weights.safetensors", own_cnn, torch.device("cpu")).model.constant == 2


def test_mirrored_predictions_are_said_in_the_file(trained, tmp_path):
    """Who restores the network need not know how it was trained: what it says is the mean over both."""
    chosen = SETTINGS.model_copy(update={"flip_tta": True})
    save_weights(tmp_path / "weights.safetensors", trained, "own_cnn", chosen.model_dump())
    restored = restore(tmp_path / "weights.safetensors", own_cnn, torch.device("cpu"))
    images = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = (trained.model(images) + trained.model(images.flip(3))) / 2
        assert torch.allclose(restored.model(images), expected, atol=1e-5)
        assert not torch.allclose(trained.model(images), expected, atol=1e-5)


def test_another_program_finds_what_it_needs_in_the_file(trained, tmp_path):
    """Names, size and normalisation are JSON in the file's metadata."""
    save_weights(tmp_path / "weights.safetensors", trained, "own_cnn", SETTINGS.model_dump())
    with safe_open(tmp_path / "weights.safetensors", framework="pt") as file:
        metadata = json.loads(file.metadata()["study"])
    assert metadata["class_names"] == NAMES
    assert metadata["image_size"] == 64
    assert (metadata["mean"], metadata["standard_deviation"]) == ([1, 2, 3], [4, 5, 6])
    assert metadata["settings"]["dropout"] == 0.34


def test_the_same_network_is_the_same_file(trained, tmp_path):
    """Byte for byte, so that DVC sees no change where there is none."""
    for name in ("one", "two"):
        save_weights(tmp_path / name, trained, "own_cnn", SETTINGS.model_dump())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
