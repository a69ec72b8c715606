"""The study's own CNN is the published one."""

import pytest
import torch
from torch import nn

from stages.networks.own_cnn import SLOPE
from stages.networks.own_cnn import network as own_cnn
from tests.conftest import network_settings

SETTINGS = network_settings("own_cnn", dropout=0.33955714678659366)


def layers(model: nn.Module) -> list[str]:
    return [repr(module) for module in model.modules() if not list(module.children())]


def test_the_layers_at_the_reference_study_s_size():
    """Six blocks, then the hidden layer and the classes: 224 pixels, 20 classes, and the published dropout."""
    blocks = []
    for before, after in [(3, 64), (64, 128), (128, 256), (256, 320), (320, 256), (256, 128)]:
        blocks += [
            f"Conv2d({before}, {after}, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
            f"BatchNorm2d({after}, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
            "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
            "LeakyReLU(negative_slope=0.1, inplace=True)",
        ]
    assert layers(own_cnn.build(SETTINGS, 20, 224)) == [
        *blocks,
        "Flatten(start_dim=1, end_dim=-1)",
        "Dropout(p=0.33955714678659366, inplace=False)",
        "Linear(in_features=1152, out_features=128, bias=True)",
        "LeakyReLU(negative_slope=0.1, inplace=True)",
        "Linear(in_features=128, out_features=20, bias=True)",
    ]


def test_the_number_of_parameters_by_hand():
    """3x3 weights and a bias per convolution, two numbers per normalised channel, and the two linear layers."""
    pairs = [(3, 64), (64, 128), (128, 256), (256, 320), (320, 256), (256, 128)]
    convolutions = sum(9 * before * after + after for before, after in pairs)
    normalisations = sum(2 * after for _, after in pairs)
    linear = (128 * 3 * 3 + 1) * 128 + (128 + 1) * 20
    model = own_cnn.build(SETTINGS, 20, 224)
    assert sum(parameter.numel() for parameter in model.parameters()) == convolutions + normalisations + linear


def test_pooling_before_the_activation_is_the_published_function():
    """LeakyReLU never changes an order, so pooling first gives the same numbers to the bit."""
    torch.manual_seed(0)
    features = torch.randn(4, 8, 16, 16)
    activation, pool = nn.LeakyReLU(SLOPE), nn.MaxPool2d(2)
    assert torch.equal(activation(pool(features)), pool(activation(features)))


@pytest.mark.parametrize("size", [64, 100, 224])
def test_it_takes_every_size_from_64_on(size):
    """The last layer has a logit per class, whatever the size of the images."""
    assert own_cnn.build(SETTINGS, 7, size)(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_it_takes_no_smaller_images():
    """Six halvings leave nothing of 63 pixels."""
    assert own_cnn.smallest_image == 64
