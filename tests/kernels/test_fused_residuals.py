"""Batch normalisation, shortcut and ReLU in one pass give what torch's own layers give."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import Bottleneck

from stages.kernels.fused_residuals import FusedBottleneck, normalised
from stages.networks.resnet50 import drop_branch
from tests.kernels.test_fused_blocks import NEAR, PRECISIONS, norm_of, ordered


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("with_shortcut", "activated"), [(True, True), (False, True), (False, False)])
def test_values_gradients_and_statistics_are_those_of_the_layers(with_shortcut, activated, training, precision):
    """With and without a shortcut, and without ReLU, as in the shortcut's own layers."""
    shape = (3, 6, 5, 7)
    mine = [ordered(*shape, seed=seed).to(precision).requires_grad_() for seed in range(2)]
    their = [each.detach().double().requires_grad_() for each in mine]
    ours, theirs = norm_of(6).train(training), norm_of(6).double().train(training)
    given = normalised(mine[0], ours, mine[1] if with_shortcut else None, activated=activated)
    expected = theirs(their[0]) + (their[1] if with_shortcut else 0)
    expected = functional.relu(expected) if activated else expected
    gradient = ordered(*shape, seed=2).to(precision)
    given.backward(gradient)
    expected.backward(gradient.double())
    assert given.dtype == precision
    torch.testing.assert_close(given.double(), expected, **NEAR[precision])
    torch.testing.assert_close(mine[0].grad.double(), their[0].grad, **NEAR[precision])
    if with_shortcut:
        assert torch.equal(mine[1].grad.double(), their[1].grad)
    torch.testing.assert_close(ours.weight.grad.double(), theirs.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.bias.grad.double(), theirs.bias.grad, rtol=1e-4, atol=1e-4)
    for name, value in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name).double(), value.double(), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_float32_rounded():
    """To the bit, with a shortcut and above the same floor: where it is rounded to 0, both are 0."""
    results = {}
    for precision in PRECISIONS:
        features, shortcut = (ordered(5, 16, 12, 12, seed=seed).to(precision).requires_grad_() for seed in range(2))
        norm = norm_of(16)
        given = normalised(features, norm, shortcut)
        given.backward(ordered(5, 16, 12, 12, seed=2).to(precision))
        results[precision] = given, features.grad, shortcut.grad, norm.weight.grad, norm.bias.grad, norm.running_var
    for rounded, exact in zip(*(results[precision] for precision in PRECISIONS), strict=True):
        assert torch.equal(rounded, exact.to(rounded.dtype))


def test_a_broken_batch_is_seen():
    """NaN stays NaN: it is neither above nor below the floor of ReLU."""
    features = ordered(2, 2, 4, 4)
    features[0, 0, 1, 1] = torch.nan
    given = normalised(features, nn.BatchNorm2d(2))
    assert given[:, 0].isnan().all()
    assert not given[:, 1].isnan().any()


def test_a_shortcut_of_another_precision_goes_through_the_layers():
    """What a kernel cannot read is not handed to it."""
    features = ordered(2, 2, 4, 4)
    shortcut = torch.ones(2, 2, 4, 4).contiguous(memory_format=torch.channels_last)
    expected = functional.relu(nn.BatchNorm2d(2)(features) + shortcut.bfloat16())
    assert torch.equal(normalised(features, nn.BatchNorm2d(2), shortcut), expected)


@pytest.mark.parametrize("mixed", [True, False])
def test_stochastic_depth_still_leaves_the_branch_out(mixed):
    """A hook of the last normalisation changes what is added to the shortcut; at probability 1 nothing is."""
    block = Bottleneck(8, 2)
    drop_branch(block.bn3, 1.0)
    images = ordered(4, 8, 4, 4)
    images = images if mixed else images.float()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        given = FusedBottleneck(block).train()(images)
    assert torch.equal(given, functional.relu(images))
