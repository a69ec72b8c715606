"""ResNet50 is torchvision's, from random or given weights."""

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models.resnet import Bottleneck

from stages.networks.common.contract import IMAGENET, Normalisation
from stages.networks.common.pretrained import expected_input, new_network
from stages.networks.common.weights import Trained, save_weights
from stages.networks.resnet50 import Settings
from stages.networks.resnet50 import network as resnet50
from stages.runtime.errors import UserError
from tests.conftest import network_settings


def settings(weights: str = "none", **changes: object) -> Settings:
    return network_settings("resnet50", weights=weights, **changes)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/pretrained/resnet50"
    folder.mkdir(parents=True)
    return folder


def test_it_has_the_published_size():
    """25.6 million parameters with ImageNet's 1,000 classes."""
    model = resnet50.build(settings(), 1000, 224)
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_of_other_classes_start_all_but_the_last_layer(folder, suffix):
    """A file trained for 9 classes serves a study of 4: its classes alone are left out."""
    torch.manual_seed(0)
    given = resnet50.build(settings(), 9, 64).state_dict()
    path = folder / f"given.{suffix}"
    save_file(given, path) if suffix == "safetensors" else torch.save(given, path)
    started = new_network(resnet50, settings(f"data/pretrained/resnet50/given.{suffix}"), 4, 64).state_dict()
    assert started["fc.weight"].shape == (4, 2048)
    assert all(torch.equal(started[name], given[name]) for name in given if not name.startswith("fc."))


def test_a_file_that_would_execute_code_is_refused(folder):
    """Weights are numbers: a pickle that holds anything else is not opened."""
    torch.save({"weight": print}, folder / "evil.pth")
    with pytest.raises(UserError, match="cannot be read as weights alone"):
        new_network(resnet50, settings("data/pretrained/resnet50/evil.pth"), 4, 64)


def test_weights_of_another_network_are_refused(folder):
    """Half-fitting weights would train, and mean nothing."""
    save_file({"blocks.0.weight": torch.zeros(3)}, folder / "other.safetensors")
    with pytest.raises(UserError, match="the weights of another network than resnet50"):
        new_network(resnet50, settings("data/pretrained/resnet50/other.safetensors"), 4, 64)


def test_a_checkpoint_with_more_than_weights_says_what_to_save(folder):
    """As many trainings write it: the weights are below a name."""
    torch.save({"epoch": 3, "model": {"fc.bias": torch.zeros(3)}}, folder / "checkpoint.pth")
    with pytest.raises(UserError, match=r"holds epoch, model instead of weights by their names; save .*state_dict"):
        new_network(resnet50, settings("data/pretrained/resnet50/checkpoint.pth"), 4, 64)


def test_a_damaged_file_is_said_in_words_whoever_opens_it_first(folder):
    """Stage train asks for the size that its weights want before it loads them."""
    (folder / "broken.safetensors").write_bytes(b"nothing")
    broken = settings("data/pretrained/resnet50/broken.safetensors", input_size="weights")
    for asked in (lambda: expected_input(resnet50, broken), lambda: new_network(resnet50, broken, 4, 64)):
        with pytest.raises(UserError, match="cannot be read as weights alone"):
            asked()


def test_weights_of_the_same_network_at_another_size_name_the_layer(folder):
    """It is not another network, and prepare.image_size may be what differs."""
    weights = resnet50.build(settings(), 4, 64).state_dict()
    weights["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    save_file(weights, folder / "small.safetensors")
    with pytest.raises(UserError, match=r"its conv1.weight has shape \(64, 3, 3, 3\), here it has \(64, 3, 7, 7\)"):
        new_network(resnet50, settings("data/pretrained/resnet50/small.safetensors"), 4, 64)


def test_a_file_named_without_its_folder_is_told_its_path(folder):
    """It may well be there."""
    save_file({}, folder / "birds.safetensors")
    with pytest.raises(UserError, match=r"copy it there, and write data/pretrained/resnet50/birds.safetensors"):
        new_network(resnet50, settings("birds.safetensors"), 4, 64)


def test_a_file_that_dvc_does_not_watch_is_refused(folder, tmp_path):
    """A change of weights must re-run what was trained from them, so they lie where DVC looks."""
    save_file({}, tmp_path / "far.safetensors")
    with pytest.raises(UserError, match="where DVC sees that it changes"):
        new_network(resnet50, settings("far.safetensors"), 4, 64)


def test_a_missing_file_is_named(folder):
    """The key and what may stand there instead."""
    with pytest.raises(UserError, match=r"networks.resnet50.weights = .*gone.pth does not exist"):
        new_network(resnet50, settings("data/pretrained/resnet50/gone.pth"), 4, 64)


def test_an_unknown_name_lists_those_there_are():
    """The names of torchvision, none, or a file."""
    with pytest.raises(UserError, match="choose IMAGENET1K_V1, IMAGENET1K_V2, none, or a file in"):
        new_network(resnet50, settings("IMAGENET22K"), 4, 64)


def test_weights_that_cannot_be_downloaded_say_what_to_do_offline(tmp_path, monkeypatch):
    """The address, the file's place, and the way without."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing listens
    with pytest.raises(UserError) as raised:
        new_network(resnet50, settings("IMAGENET1K_V2"), 4, 64)
    (line,) = raised.value.lines
    assert "cannot be downloaded from https://download.pytorch.org/models/resnet50-11ad3fa6.pth" in line
    assert f"place it as {tmp_path}/hub/checkpoints/resnet50-11ad3fa6.pth, or set none" in line


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
    model = new_network(resnet50, settings(freeze=freeze), 4, 64)
    found = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert found == learning


def test_stochastic_depth_leaves_out_later_blocks_more_often():
    """In training alone; the first of sixteen blocks seldom, the last with the given probability."""
    torch.manual_seed(0)
    model = resnet50.build(settings(stochastic_depth=0.8), 4, 64)
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    images = torch.ones(1000, 1, 1, 1)
    left_out = []
    for block in (blocks[0], blocks[-1]):
        torch.nn.init.ones_(block.bn3.bias)
        features = images.expand(-1, block.bn3.num_features, 1, 1)
        left_out.append((block.bn3.train()(features).amax((1, 2, 3)) == 0).double().mean().item())
        assert (block.bn3.eval()(features) > 0).all()
    assert left_out == pytest.approx([0.05, 0.8], abs=0.04)


def test_images_have_the_size_that_the_weights_were_trained_on(folder):
    """ImageNet's 224 pixels, or what a run of this project was trained on; unless they are to stay as prepared."""
    model = resnet50.build(settings(), 3, 96)
    normalisation = Normalisation((1, 2, 3), (4, 5, 6))
    trained = Trained(model, ["a", "b", "c"], 96, normalisation)
    save_weights(folder / "birds.safetensors", trained, "resnet50", {})
    own = "data/pretrained/resnet50/birds.safetensors"
    assert expected_input(resnet50, settings("IMAGENET1K_V2")) == (224, IMAGENET)
    assert expected_input(resnet50, settings(own)) == (96, normalisation)
    assert expected_input(resnet50, settings(own, input_size="prepared")) == (None, normalisation)
    assert expected_input(resnet50, settings()) == (None, IMAGENET)
