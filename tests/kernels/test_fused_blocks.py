"""Three layers in one pass give what torch's own layers give."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.projects import ROOT
from stages.kernels.batch_norm import of_batch
from stages.kernels.fused_blocks import FusedBlocks, is_blocks, normalised_pool

SLOPE = 0.1


PRECISIONS = [torch.bfloat16, torch.float32]
NEAR = {torch.bfloat16: {"rtol": 1e-2, "atol": 2e-2}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def ordered(*shape: int, seed: int = 0, offset: float = 0.0) -> Tensor:
    """Return random features in bfloat16 and channels_last memory order."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + offset
    return values.bfloat16().contiguous(memory_format=torch.channels_last)


def norm_of(channels: int) -> nn.BatchNorm2d:
    """Return a layer with weights of both signs and some history."""
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.52, 2, channels))  # none so near 0 that all values are alike
        norm.bias.copy_(torch.linspace(-1, 1, channels))
        norm.running_mean.copy_(torch.linspace(-0.5, 0.5, channels))
        norm.running_var.copy_(torch.linspace(0.5, 2, channels))
    return norm


def reference(features: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Return what torch's layers make of the features, in float64."""
    return nn.functional.leaky_relu(nn.functional.max_pool2d(norm(features.double()), 2), SLOPE)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 8, 6, 6), (3, 5, 7, 9), (2, 64, 2, 2), (2, 3, 3, 2)])
def test_values_gradients_and_statistics_are_those_of_the_layers(shape, training, precision):
    """Odd sides, whose last row is in no window, and negative weights, with which the lowest value is the highest."""
    features, ours, theirs = ordered(*shape).to(precision), norm_of(shape[1]), norm_of(shape[1]).double()
    ours.train(training)
    theirs.train(training)
    mine, their = features.clone().requires_grad_(), features.double().requires_grad_()
    given, expected = normalised_pool(mine, ours, SLOPE), reference(their, theirs)
    gradient = ordered(*given.shape, seed=1).to(precision)
    given.backward(gradient)
    expected.backward(gradient.double())
    assert given.dtype == precision
    torch.testing.assert_close(given.double(), expected, **NEAR[precision])
    torch.testing.assert_close(mine.grad.double(), their.grad, **NEAR[precision])
    torch.testing.assert_close(ours.weight.grad.double(), theirs.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.bias.grad.double(), theirs.bias.grad, rtol=1e-4, atol=1e-4)
    for name, value in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name).double(), value.double(), rtol=1e-5, atol=1e-5)


def test_bfloat16_is_float32_rounded():
    """To the bit: what one precision computes holds for the other."""
    results = {}
    for precision in PRECISIONS:
        features, norm = ordered(5, 16, 12, 12).to(precision).requires_grad_(), norm_of(16)
        given = normalised_pool(features, norm, SLOPE)
        given.backward(ordered(5, 16, 6, 6, seed=1).to(precision))
        results[precision] = given, features.grad, norm.weight.grad, norm.bias.grad, norm.running_var
    for rounded, exact in zip(*(results[precision] for precision in PRECISIONS), strict=True):
        assert torch.equal(rounded, exact.to(rounded.dtype))


def test_of_equal_values_the_first_takes_the_gradient():
    """As with torch's own pool: no gradient is counted twice."""
    features = torch.ones(1, 1, 2, 2).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    norm = nn.BatchNorm2d(1).eval()
    normalised_pool(features, norm, SLOPE).backward(torch.ones(1, 1, 1, 1).bfloat16())
    assert features.grad.flatten().tolist() == [1, 0, 0, 0]


def test_a_small_variance_beside_a_large_mean_is_not_lost():
    """The squares of such values differ by less than float32 can tell."""
    features = ordered(8, 4, 32, 32, offset=200.0)
    (mean, variance, _), values = of_batch(features), features.double().numpy()
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, values.var((0, 2, 3)), rtol=1e-4)


def test_a_momentum_that_the_kernels_do_not_know_is_an_error():
    """None, which for torch is a mean over all batches, makes no NaN."""
    with pytest.raises(TypeError, match="NoneType"):
        normalised_pool(ordered(2, 2, 4, 4), nn.BatchNorm2d(2, momentum=None), SLOPE)


def test_a_broken_batch_is_seen():
    """NaN among the features makes NaN of the channel, as with torch's own layers, and of no other."""
    features = ordered(2, 2, 4, 4)
    features[0, 0, 1, 1] = torch.nan
    given = normalised_pool(features, nn.BatchNorm2d(2), SLOPE)
    assert given[:, 0].isnan().all()
    assert not given[:, 1].isnan().any()


STEP = """
import hashlib, torch
from tests.kernels.test_fused_blocks import norm_of, normalised_pool, ordered
features, norm = ordered(5, 16, 12, 12).requires_grad_(), norm_of(16)
normalised_pool(features, norm, 0.1).backward(ordered(5, 16, 6, 6, seed=1))
results = [features.grad.float(), norm.weight.grad, norm.bias.grad, norm.running_var]
import numba
digest = hashlib.sha256(b"".join(result.numpy().tobytes() for result in results))
print(torch.get_num_threads(), numba.get_num_threads(), digest.hexdigest())
"""


def test_the_number_of_threads_is_torch_s_and_changes_no_bit():
    """Sums are over whole images, in one order; and who asks for one thread has no more."""
    printed = []
    for threads in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        words = [sys.executable, "-c", STEP]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        printed.append(done.stdout.split())
    assert [line[:2] for line in printed] == [["1", "1"], ["2", "2"]]
    assert printed[0][2] == printed[1][2]


def test_blocks_are_seen_and_nothing_else():
    """Other layers and other pools are no such blocks."""
    block = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.LeakyReLU(SLOPE)]
    wider = [*block[:2], nn.MaxPool2d(3), block[3]]
    found = [is_blocks(nn.Sequential(*layers)) for layers in ([*block, *block], wider, block[:3], [])]
    assert found == [True, False, False, False]
    assert not is_blocks(block[0])


def test_other_precision_takes_the_layers_themselves():
    """In float64 the result is torch's to the bit, and so it is in another memory order."""
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.LeakyReLU(SLOPE))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(FusedBlocks(*blocks)(images), blocks(images))
    blocks, images = blocks.double(), images.double().contiguous(memory_format=torch.channels_last)
    expected = blocks(images)
    assert torch.equal(FusedBlocks(*blocks)(images), expected)
