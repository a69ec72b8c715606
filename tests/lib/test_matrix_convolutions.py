"""Convolutions as matrix products give what convolutions give."""

import pytest
import torch
from torch import nn

from stages.lib.matrix_convolutions import MatrixConvolution, is_product


def channels_last(*shape):
    """Return random values in this memory order, float64 so that only the order of sums differs."""
    return torch.randn(shape, dtype=torch.float64).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "bias"), [(1, 1, 5, False), (1, 2, 5, True), (3, 1, 2, True), (3, 2, 3, False)]
)
def test_values_and_gradients_are_those_of_the_convolution(kernel, stride, side, bias):
    """Odd sides with a stride, an edge of zeros, with and without bias."""
    torch.manual_seed(0)
    theirs = nn.Conv2d(40, 60, kernel, stride, padding=kernel // 2, bias=bias).double()
    ours = MatrixConvolution(40, 60, kernel, stride, padding=kernel // 2, bias=bias).double()
    ours.load_state_dict(theirs.state_dict())
    images = channels_last(2, 40, side, side)
    mine, their = images.clone().requires_grad_(), images.clone().requires_grad_()
    assert is_product(ours, mine)
    given, expected = ours(mine), theirs(their)
    gradient = channels_last(*expected.shape)
    given.backward(gradient)
    expected.backward(gradient)
    assert given.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(given, expected)
    torch.testing.assert_close(mine.grad, their.grad)
    for name, weight in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, weight.grad)


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 2},
        {"dilation": 2},
        {"padding": 0},
        {"padding_mode": "reflect"},
        {"stride": (1, 2)},
        {"padding": "same"},
    ],
)
def test_other_convolutions_stay_what_they_are(options):
    """What the product would compute otherwise goes through torch, to the same bits."""
    torch.manual_seed(0)
    theirs = nn.Conv2d(60, 60, 3, **{"padding": 1} | options)
    ours = MatrixConvolution(60, 60, 3, **{"padding": 1} | options)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 60, 6, 6).contiguous(memory_format=torch.channels_last)
    assert torch.equal(ours(images), theirs(images))


def test_a_product_is_taken_where_it_is_faster():
    """1x1 always; 3x3 where weights outnumber the batch's values; nothing in another memory order."""
    wide, narrow = MatrixConvolution(512, 512, 3, padding=1), MatrixConvolution(64, 64, 3, padding=1)
    images = {channels: torch.zeros(32, channels, 2, 2) for channels in (64, 512)}
    last = {channels: each.contiguous(memory_format=torch.channels_last) for channels, each in images.items()}
    assert is_product(wide, last[512])
    assert not is_product(narrow, torch.zeros(32, 64, 16, 16).contiguous(memory_format=torch.channels_last))
    assert not is_product(wide, images[512])
    assert is_product(MatrixConvolution(64, 64, 1), last[64])
