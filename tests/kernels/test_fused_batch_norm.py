"""Batch normalisation and the layers after it in one pass give what torch's own layers give."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool2d, relu
from torchvision.models.resnet import Bottleneck

from helpers.projects import ROOT
from stages.kernels.accelerate import accelerate
from stages.kernels.batch_norm import mean_and_variance
from stages.kernels.fused_batch_norm import FusedBottleneck, FusedConvBlocks, is_conv_blocks
from stages.kernels.fused_batch_norm import batch_norm_add_relu as add_relu
from stages.kernels.fused_batch_norm import batch_norm_max_pool_leaky_relu as pool
from stages.networks.resnet50 import drop_branch

SLOPE = 0.1
DTYPES = [torch.bfloat16, torch.float32]
TOLERANCE = {torch.bfloat16: {"rtol": 1e-2, "atol": 2e-2}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}
OURS = {  # of features, a shortcut and a BatchNorm2d
    "pool": lambda features, _, norm: pool(features, norm, SLOPE),
    "shortcut": lambda features, shortcut, norm: add_relu(features, norm, shortcut),
    "relu": lambda features, _, norm: add_relu(features, norm),
    "norm": lambda features, _, norm: add_relu(features, norm, relu=False),
}
THEIRS = {
    "pool": lambda features, _, norm: leaky_relu(max_pool2d(norm(features), 2), SLOPE),
    "shortcut": lambda features, shortcut, norm: relu(norm(features) + shortcut),
    "relu": lambda features, _, norm: relu(norm(features)),
    "norm": lambda features, _, norm: norm(features),
}


def channels_last(*shape: int, seed: int = 0, offset: float = 0.0, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Return random values in channels_last memory order, which are bfloat16's in every dtype."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + offset
    return values.bfloat16().to(dtype).contiguous(memory_format=torch.channels_last)


def norm_of(channels: int) -> nn.BatchNorm2d:
    """Return a layer with weights of both signs and some history."""
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1.52, 2, channels))  # none so near 0 that all values are alike
        norm.bias.copy_(torch.linspace(-1, 1, channels))
        norm.running_mean.copy_(torch.linspace(-0.5, 0.5, channels))
        norm.running_var.copy_(torch.linspace(0.5, 2, channels))
    return norm


def results(compute, norm, *inputs):
    """Return output and gradients of a step, and the running statistics after it, all in float64."""
    features, shortcut = (each.clone().requires_grad_() for each in inputs)
    output = compute(features, shortcut, norm)
    assert output.dtype == features.dtype
    output.backward(channels_last(*output.shape, seed=2, dtype=output.dtype))
    grads = {"features": features.grad, "shortcut": shortcut.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    values = grads | {"output": output.detach()} | dict(norm.named_buffers())
    return {name: value.double() for name, value in values.items() if value is not None}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 8, 6, 6), (3, 5, 7, 9), (2, 64, 2, 2), (2, 3, 3, 2)])
@pytest.mark.parametrize("name", OURS)
def test_values_gradients_and_statistics_are_those_of_the_layers(name, shape, training, dtype):
    """Odd sides, whose last row is in no window, and negative weights, with which the lowest value is the highest."""
    inputs = [channels_last(*shape, seed=seed, dtype=dtype) for seed in range(2)]
    given = results(OURS[name], norm_of(shape[1]).train(training), *inputs)
    expected = results(THEIRS[name], norm_of(shape[1]).train(training).double(), *(each.double() for each in inputs))
    assert given.keys() == expected.keys()
    for key, value in expected.items():
        exact = {"rtol": 1e-4, "atol": 1e-4} if key not in {"features", "output"} else TOLERANCE[dtype]
        torch.testing.assert_close(given[key], value, **exact)


@pytest.mark.parametrize("name", OURS)
def test_bfloat16_is_float32_rounded(name):
    """To the bit, with a shortcut and above the same minimum: where it is rounded to 0, both are 0."""
    rounded, exact = (
        results(OURS[name], norm_of(16), *(channels_last(5, 16, 12, 12, seed=seed, dtype=dtype) for seed in (0, 1)))
        for dtype in DTYPES
    )
    for key, value in exact.items():
        dtype = torch.bfloat16 if key in {"features", "shortcut", "output"} else torch.float64
        assert torch.equal(rounded[key].to(dtype), value.float().to(dtype)), key


def test_of_equal_values_the_first_takes_the_gradient():
    """As with torch's own pool: no gradient is counted twice."""
    features = torch.ones(1, 1, 2, 2).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    norm = nn.BatchNorm2d(1).eval()
    pool(features, norm, SLOPE).backward(torch.ones(1, 1, 1, 1).bfloat16())
    assert features.grad.flatten().tolist() == [1, 0, 0, 0]


def test_a_small_variance_beside_a_large_mean_is_not_lost():
    """The squares of such values differ by less than float32 can tell."""
    features = channels_last(8, 4, 32, 32, offset=200.0)
    (mean, variance, _), values = mean_and_variance(features), features.double().numpy()
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, values.var((0, 2, 3)), rtol=1e-4)


def test_a_momentum_that_the_kernels_do_not_know_is_an_error():
    """None, which for torch is a mean over all batches, makes no NaN."""
    with pytest.raises(TypeError, match="NoneType"):
        pool(channels_last(2, 2, 4, 4), nn.BatchNorm2d(2, momentum=None), SLOPE)


@pytest.mark.parametrize("name", OURS)
def test_a_broken_batch_is_seen(name):
    """NaN among the features makes NaN of the channel, as with torch's own layers, and of no other."""
    features, shortcut = (channels_last(2, 2, 4, 4, seed=seed) for seed in (0, 1))
    features[0, 0, 1, 1] = torch.nan
    given = OURS[name](features, shortcut, nn.BatchNorm2d(2))
    assert given[:, 0].isnan().all()
    assert not given[:, 1].isnan().any()


STEP = """
import hashlib, torch
from tests.kernels.test_fused_batch_norm import OURS, channels_last, norm_of, results
values = results(OURS["pool"], norm_of(16), *(channels_last(5, 16, 12, 12, seed=seed) for seed in range(2)))
import numba
digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in values.values()))
print(torch.get_num_threads(), numba.get_num_threads(), digest.hexdigest())
"""


def test_the_number_of_threads_is_torch_s_and_changes_no_bit():
    """Sums are over whole images, in one order; and who asks for one thread has no more."""
    words, printed = [sys.executable, "-c", STEP], []
    for threads in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        printed.append(subprocess.check_output(words, cwd=ROOT, env=environment, text=True).split())
    assert [line[:2] for line in printed] == [["1", "1"], ["2", "2"]]
    assert printed[0][2] == printed[1][2]


def test_blocks_are_seen_and_nothing_else():
    """Other layers and other pools are no such blocks."""
    block = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.LeakyReLU(SLOPE)]
    wider = [*block[:2], nn.MaxPool2d(3), block[3]]
    modules = [block[0], *(nn.Sequential(*layers) for layers in ([*block, *block], wider, block[:3], []))]
    assert [is_conv_blocks(module) for module in modules] == [False, True, False, False, False]


def test_other_precision_takes_the_layers_themselves():
    """In float64 the result is torch's to the bit, and so it is in another memory order."""
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.LeakyReLU(SLOPE))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(FusedConvBlocks(*blocks)(images), blocks(images))
    images = images.double().contiguous(memory_format=torch.channels_last)
    assert torch.equal(FusedConvBlocks(*blocks.double())(images), blocks(images))


def test_a_shortcut_of_another_precision_goes_through_the_layers():
    """What a kernel cannot read is not handed to it."""
    features, shortcut = channels_last(2, 2, 4, 4), channels_last(2, 2, 4, 4, seed=1, dtype=torch.float32)
    expected = relu(nn.BatchNorm2d(2)(features) + shortcut.bfloat16())
    assert torch.equal(add_relu(features, nn.BatchNorm2d(2), shortcut), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_stochastic_depth_still_leaves_the_branch_out(dtype):
    """A hook of the last normalisation changes what is added to the shortcut; at probability 1 nothing is."""
    block = accelerate(Bottleneck(8, 2)).train()
    assert type(block) is FusedBottleneck
    drop_branch(block.bn3, 1.0)
    images = channels_last(4, 8, 4, 4, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert torch.equal(block(images), relu(images))
