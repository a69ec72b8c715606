"""Depthwise convolutions compute in float32 where the rest of a network computes in bfloat16."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from stages.kernels.accelerate import accelerate
from stages.kernels.depthwise import is_depthwise


class SamePadding(nn.Conv2d):
    """A convolution of another library's own class, which brings its own forward."""

    def forward(self, images):
        """Return features of images with more zeros around them."""
        return super().forward(nn.functional.pad(images, (1, 1, 1, 1)))


@pytest.mark.parametrize("kind", [nn.Conv2d, SamePadding])
def test_values_and_gradients_are_those_of_float32(kind):
    """To the bit, in whichever precision the images come; the layer before and after stays in bfloat16."""
    torch.manual_seed(0)
    theirs = kind(24, 24, 3, padding=int(kind is nn.Conv2d), groups=24)
    ours = accelerate(nn.Sequential(deepcopy(theirs)))
    images = torch.randn(2, 24, 7, 7).bfloat16()
    expected = theirs(images.float())
    with torch.autocast("cpu", torch.bfloat16):
        given = ours(images)
        after = nn.Linear(7, 3)(given)
    assert given.dtype == torch.float32
    assert after.dtype == torch.bfloat16
    assert torch.equal(given, expected)
    given.sum().backward()
    expected.sum().backward()
    assert torch.equal(ours[0].weight.grad, theirs.weight.grad)


def test_a_network_with_such_layers_is_copied_and_keeps_its_names():
    """Averages of weights are copies, and checkpoints go by names."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8))
    names = list(model.state_dict())
    copied = deepcopy(accelerate(model))
    assert list(copied.state_dict()) == names
    assert type(copied[1]) is type(model[1])
    assert type(copied[1]) is not nn.Conv2d


def test_what_is_depthwise():
    """Convolutions that keep each channel apart; not those in a few groups, nor of a single channel."""
    assert is_depthwise(nn.Conv2d(8, 16, 3, groups=8))
    assert not is_depthwise(nn.Conv2d(8, 8, 3, groups=2))
    assert not is_depthwise(nn.Conv2d(1, 8, 3))
    assert not is_depthwise(nn.Linear(8, 8))
