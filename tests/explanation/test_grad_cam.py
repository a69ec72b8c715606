"""Heat maps show where a network looked."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.explanation.grad_cam import grad_cam, target_layer
from stages.networks.common.contract import network_named, network_names
from stages.networks.common.prediction import add_flip_tta, raise_features_to_power
from tests.conftest import network_settings


class Looker(nn.Module):
    """Says of class 0 how bright the image is, of class 1 how dark, part by part."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.AvgPool2d(8)
        self.say = nn.Conv2d(3, 2, 1, bias=False)
        self.say.weight.data = torch.tensor([[1.0] * 3, [-1.0] * 3])[:, :, None, None]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) to logits (n, 2)."""
        return self.say(self.parts(images)).mean(dim=(2, 3))


def test_a_map_is_bright_where_the_class_was_seen():
    """A bright corner speaks for the first class, and of it alone; the second is seen in the dark one."""
    images = torch.zeros(2, 3, 32, 32)
    images[:, :, :8, 24:] = 1
    images[:, :, 24:, :8] = -1
    bright, dark = grad_cam(Looker(), images, torch.tensor([0, 1]))
    assert bright.shape == (4, 4)
    assert (bright[0, 3], bright.sum()) == (1, 1)
    assert (dark[3, 0], dark.sum()) == (1, 1)


def test_a_map_of_what_speaks_against_the_class_everywhere_is_dark():
    """Not divided by nothing."""
    assert grad_cam(Looker(), torch.full((1, 3, 32, 32), -1.0), torch.tensor([0])).max() == 0


def test_many_images_are_explained_a_few_at_a_time(monkeypatch):
    """And the maps are the same."""
    images, classes = torch.randn(5, 3, 32, 32), torch.tensor([0, 1, 0, 1, 0])
    whole = grad_cam(Looker(), images, classes)
    monkeypatch.setattr("stages.explanation.grad_cam.PIXELS_AT_A_TIME", 2 * 32 * 32)
    assert (grad_cam(Looker(), images, classes) == whole).all()


def test_a_network_that_asks_the_mirror_image_too_is_explained_by_the_image_itself():
    """Else the map would be mirrored."""
    images = torch.zeros(1, 3, 32, 32)
    images[:, :, :8, 24:] = 1
    model = Looker().eval()
    add_flip_tta(model)
    assert grad_cam(model, images, torch.tensor([0]))[0][0, 3] == 1


class ChannelsLast(Looker):
    """Turns what it sees, as some transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) to logits (n, 2)."""
        return self.turn(self.say(self.parts(images)).permute(0, 2, 3, 1)).mean(dim=(1, 2))


def test_what_has_its_channels_last_is_not_taken_for_a_map():
    """The layer before is."""
    model, images = ChannelsLast(), torch.randn(1, 3, 32, 32)
    assert target_layer(model, images) is model.say
    assert (grad_cam(model, images, [0]) == grad_cam(Looker(), images, [0])).all()


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize("side", [64, 128])
def test_every_network_has_a_layer_that_says_where(name, side):
    """Of 4 x 4 parts, which is the least that shows something."""
    model = network_named(name).build(network_settings(name, weights="none", input_size=side), 3, side).eval()
    images = torch.randn(2, 3, side, side)
    maps = grad_cam(model, images, torch.tensor([0, 2]))
    assert maps.shape == (2, 4, 4)
    assert target_layer(model, images) in list(model.modules())


@pytest.mark.parametrize("name", network_names())
def test_features_raised_to_a_power_leave_no_hole_in_a_map(name):
    """The slope of a root is infinite where a feature is nothing, as many are of an image of one colour."""
    network = network_named(name)
    torch.manual_seed(0)
    model = network.build(network_settings(name, weights="none", input_size=128), 3, 128).eval()
    raise_features_to_power(model.get_submodule(network.head.rstrip(".")), 0.5)
    maps = grad_cam(model, torch.cat([torch.zeros(1, 3, 128, 128), torch.randn(1, 3, 128, 128)]), [0, 2])
    assert np.isfinite(maps).all()


def test_a_network_that_has_no_maps_is_explained_by_dark_ones():
    """A linear classifier on pixels, as docs/guides/networks.md has it, knows no place."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    assert grad_cam(linear, torch.ones(2, 3, 8, 8), [0, 1]).tolist() == [[[0]], [[0]]]
