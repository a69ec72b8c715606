"""Convolutions as matrix products give what convolutions give."""

from unittest.mock import patch

import pytest
import torch
from torch import nn

from stages.kernels import matrix_convolutions
from stages.kernels.matrix_convolutions import MatrixConvolution, is_product


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


def test_what_comes_back_to_a_pixel_from_all_places_is_rounded_once():
    """To bfloat16, after the sum."""
    parts = torch.rand(1, 72, 4, 4).bfloat16().contiguous(memory_format=torch.channels_last)
    found = {}
    for precision in (torch.bfloat16, torch.float64):
        convolution = MatrixConvolution(8, 72, 3, padding=1, bias=False).to(precision)
        convolution.weight.data = torch.eye(72, dtype=precision).view(72, 3, 3, 8).permute(0, 3, 1, 2)
        images = channels_last(1, 8, 4, 4).to(precision).requires_grad_()
        assert is_product(convolution, images)
        convolution(images).backward(parts.to(precision))
        found[precision] = images.grad
    assert torch.equal(found[torch.bfloat16], found[torch.float64].bfloat16())


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


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "bias"), [(3, 1, 50, True), (3, 1, 9, False), (3, 2, 21, True), (5, 2, 12, False)]
)
def test_with_avx2_alone_the_gradient_of_weights_is_a_product(kernel, stride, side, bias):
    """Of some lines of an image at a time, at last fewer, or of some images; all else is torch's to the bit."""
    torch.manual_seed(0)
    shape = {"stride": stride, "padding": kernel // 2, "bias": bias}
    theirs, ours = nn.Conv2d(16, 24, kernel, **shape), MatrixConvolution(16, 24, kernel, **shape)
    ours.load_state_dict(theirs.state_dict())
    images = channels_last(50, 16, side, side).float()
    mine, their, exact = (images.clone().requires_grad_() for _ in range(3))
    with patch.object(matrix_convolutions, "has_avx2_alone", lambda: True):
        given, expected = ours(mine), theirs(their)
        assert type(given.grad_fn).__name__ == "_ConvolutionBackward"
    gradient = channels_last(*expected.shape).float()
    given.backward(gradient)
    expected.backward(gradient)
    assert torch.equal(given, expected)
    assert torch.equal(mine.grad, their.grad)
    double = nn.Conv2d(16, 24, kernel, **shape).double()
    double.load_state_dict(theirs.state_dict())
    double(exact.double()).backward(gradient.double())
    for name, weight in double.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad.double(), weight.grad, rtol=1e-4, atol=1e-3)


def test_what_does_not_learn_gets_no_gradient():
    """Frozen weights cost no product, and images themselves none either."""
    convolution = MatrixConvolution(16, 8, 3, padding=1).requires_grad_(False)
    images = channels_last(2, 16, 32, 32).float().requires_grad_()
    with patch.object(matrix_convolutions, "has_avx2_alone", lambda: True):
        convolution(images).sum().backward()
        assert convolution.weight.grad is None
        assert images.grad is not None
        convolution.requires_grad_(True)(images.detach()).sum().backward()
    assert convolution.bias.grad.tolist() == [2 * 32 * 32] * 8


def test_elsewhere_and_in_other_precisions_the_gradient_is_torch_s():
    """With AVX2 alone oneDNN is slow in float32, and at three colours a product is no faster."""
    wide, narrow = MatrixConvolution(16, 8, 3, padding=1), MatrixConvolution(3, 8, 3, padding=1)
    images = {channels: channels_last(2, channels, 32, 32).float() for channels in (3, 16)}
    with patch.object(matrix_convolutions, "has_avx2_alone", lambda: False):
        assert not matrix_convolutions.has_slow_weight_gradient(wide, images[16])
    with patch.object(matrix_convolutions, "has_avx2_alone", lambda: True):
        assert matrix_convolutions.has_slow_weight_gradient(wide, images[16])
        assert not matrix_convolutions.has_slow_weight_gradient(narrow, images[3])
        assert not matrix_convolutions.has_slow_weight_gradient(wide, images[16].bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            assert not matrix_convolutions.has_slow_weight_gradient(wide, images[16])
