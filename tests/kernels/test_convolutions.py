"""Convolutions as matrix products, and depthwise ones in float32, give what torch's convolutions give."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from stages.kernels.accelerate import accelerate
from stages.kernels.convolutions import MatmulConv2d, has_slow_weight_gradient, is_depthwise, is_faster_as_matmul
from tests.kernels.test_fused_batch_norm import channels_last

RARE = {"groups": 2, "dilation": 2, "padding": 0, "padding_mode": "reflect", "stride": (1, 2)}


@pytest.fixture
def avx2_alone(monkeypatch):
    """Have torch say that the processor has AVX2 and not AVX-512."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def pair(*shape, dtype=torch.float32, **options):
    """Return torch's convolution and ours with the same weights."""
    torch.manual_seed(0)
    theirs = nn.Conv2d(*shape, dtype=dtype, **options)
    return theirs, accelerate(deepcopy(theirs))


def step(convolution, images):
    """Return output, the gradient of the images, and those of the weights by name."""
    images, convolution = images.clone().requires_grad_(), deepcopy(convolution)
    output = convolution(images)
    output.backward(channels_last(*output.shape, seed=1, dtype=output.dtype))
    return output, images.grad, {name: weight.grad for name, weight in convolution.named_parameters()}


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "bias"), [(1, 1, 5, False), (1, 2, 5, True), (3, 1, 2, True), (3, 2, 3, False)]
)
def test_values_and_gradients_are_those_of_the_convolution(kernel, stride, side, bias):
    """Odd sides with a stride, an edge of zeros, with and without bias; in float64, where only sums' order differs."""
    theirs, ours = pair(40, 60, kernel, stride=stride, padding=kernel // 2, bias=bias, dtype=torch.float64)
    images = channels_last(2, 40, side, side, dtype=torch.float64)
    assert is_faster_as_matmul(ours, images)
    given = step(ours, images)
    assert given[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(given, step(theirs, images))


def test_what_comes_back_to_a_pixel_from_all_positions_is_rounded_once():
    """To bfloat16, after the sum."""
    found = {}
    for dtype in (torch.bfloat16, torch.float64):
        convolution = MatmulConv2d(8, 72, 3, padding=1, bias=False, dtype=dtype)
        convolution.weight.data = torch.eye(72, dtype=dtype).view(72, 3, 3, 8).permute(0, 3, 1, 2)
        images = channels_last(1, 8, 4, 4, dtype=dtype)
        assert is_faster_as_matmul(convolution, images)
        found[dtype] = step(convolution, images)[1]
    assert torch.equal(found[torch.bfloat16], found[torch.float64].bfloat16())


@pytest.mark.parametrize(("option", "value"), [*RARE.items(), ("padding", "same")])
def test_other_convolutions_stay_what_they_are(option, value):
    """What the product would compute otherwise goes through torch, to the same bits."""
    theirs, ours = pair(60, 60, 3, **{"padding": 1} | {option: value})
    images = channels_last(1, 60, 6, 6, dtype=torch.float32)
    assert torch.equal(ours(images), theirs(images))


def test_a_product_is_taken_where_it_is_faster():
    """1x1 always; 3x3 where weights outnumber the batch's values; nothing in another memory order."""
    wide, narrow = MatmulConv2d(512, 512, 3, padding=1), MatmulConv2d(64, 64, 3, padding=1)
    assert is_faster_as_matmul(wide, channels_last(32, 512, 2, 2))
    assert not is_faster_as_matmul(wide, torch.zeros(32, 512, 2, 2))
    assert not is_faster_as_matmul(narrow, channels_last(32, 64, 16, 16))
    assert is_faster_as_matmul(MatmulConv2d(64, 64, 1), channels_last(32, 64, 2, 2))


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "bias"), [(3, 1, 50, True), (3, 1, 9, False), (3, 2, 21, True), (5, 2, 12, False)]
)
@pytest.mark.usefixtures("avx2_alone")
def test_with_avx2_alone_the_gradient_of_weights_is_a_product(kernel, stride, side, bias):
    """Of some lines of an image at a time, at last fewer, or of some images; all else is torch's to the bit."""
    theirs, ours = pair(16, 24, kernel, stride=stride, padding=kernel // 2, bias=bias)
    images = channels_last(50, 16, side, side, dtype=torch.float32)
    assert has_slow_weight_gradient(ours, images)
    given, expected = step(ours, images), step(theirs, images)
    assert all(map(torch.equal, given[:2], expected[:2]))
    _, _, exact = step(theirs.double(), images.double())
    for name, value in exact.items():
        torch.testing.assert_close(given[2][name].double(), value, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("avx2_alone")
def test_what_does_not_learn_gets_no_gradient():
    """Frozen weights cost no product, and images themselves none either."""
    convolution = MatmulConv2d(16, 8, 3, padding=1).requires_grad_(False)
    images = channels_last(2, 16, 32, 32, dtype=torch.float32).requires_grad_()
    convolution(images).sum().backward()
    assert convolution.weight.grad is None
    assert images.grad is not None
    convolution.requires_grad_(True)(images.detach()).sum().backward()
    assert convolution.bias.grad.tolist() == [2 * 32 * 32] * 8


def test_elsewhere_and_in_other_precisions_the_gradient_is_torch_s(monkeypatch):
    """With AVX2 alone oneDNN is slow in float32, and at three colours a product is no faster."""
    wide, narrow = MatmulConv2d(16, 8, 3, padding=1), MatmulConv2d(3, 8, 3, padding=1)
    images = channels_last(2, 16, 32, 32, dtype=torch.float32)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not has_slow_weight_gradient(wide, images)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert has_slow_weight_gradient(wide, images)
    assert not has_slow_weight_gradient(narrow, channels_last(2, 3, 32, 32, dtype=torch.float32))
    assert not has_slow_weight_gradient(wide, images.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert not has_slow_weight_gradient(wide, images)


class PadsByItself(nn.Conv2d):
    """A convolution of another library's own class, which brings its own forward."""

    def forward(self, images):
        """Return features of images with more zeros around them."""
        return super().forward(nn.functional.pad(images, (1, 1, 1, 1)))


@pytest.mark.parametrize("convolution_class", [nn.Conv2d, PadsByItself])
def test_depthwise_values_and_gradients_are_those_of_float32(convolution_class):
    """To the bit, in whichever precision the images come; the layer after it stays in bfloat16."""
    torch.manual_seed(0)
    theirs = convolution_class(24, 24, 3, padding=int(convolution_class is nn.Conv2d), groups=24)
    ours = accelerate(deepcopy(theirs))
    images = torch.randn(2, 24, 7, 7).bfloat16()
    expected = theirs(images.float())
    with torch.autocast("cpu", torch.bfloat16):
        given = ours(images)
        assert nn.Linear(7, 3)(given).dtype == torch.bfloat16
    assert given.dtype == torch.float32
    assert torch.equal(given, expected)
    given.sum().backward()
    expected.sum().backward()
    assert torch.equal(ours.weight.grad, theirs.weight.grad)


def test_what_is_depthwise():
    """Convolutions that keep each channel apart; not those in a few groups, nor of a single channel."""
    assert is_depthwise(nn.Conv2d(8, 16, 3, groups=8))
    others = nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(1, 8, 3), nn.Linear(8, 8)
    assert not any(is_depthwise(other) for other in others)
