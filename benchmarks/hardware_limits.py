"""What the machine could do at most: its matrix peak, its copying, and the bound both set to a training.

Peak and bound are in the precision that is fastest here, which is that of trainings: `device.precision()`.
"""

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.settings import TrainingSettings

PASSES = 14  # over each convolution's output, that a training step without fused operations takes at least
COPIED_BYTES = 256 << 20
REPEATS = 5


def matrix_peak(threads: int) -> float:
    """Return the FLOP/s of the faster of a large matrix product and a 3x3 convolution."""
    before, precision = torch.get_num_threads(), device.precision()
    torch.set_num_threads(threads)
    left, right = (torch.randn(2048, 2048).to(precision) for _ in range(2))
    images = torch.randn(32, 256, 16, 16).to(precision).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(320, 256, 3, 3).to(precision).contiguous(memory_format=torch.channels_last)
    product = 2 * 2048**3 / fastest(lambda: left @ right)
    convolution = 2 * 32 * 16 * 16 * 320 * 256 * 9 / fastest(lambda: functional.conv2d(images, weight, padding=1))
    torch.set_num_threads(before)
    return max(product, convolution)


def copying() -> float:
    """Return the bytes/s that are read and written by a copy of memory with all threads."""
    source = torch.zeros(COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * COPIED_BYTES / fastest(lambda: target.copy_(source))


def fastest(work: Callable[[], object]) -> float:
    """Return the least seconds of several repeats, after one that warms up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def training_flops(model: nn.Module, size: int) -> float:
    """Return the floating-point operations of one image of `size` pixels a side, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        model.train()(torch.zeros(2, 3, size, size)).sum().backward()
    return float(counter.get_total_flops()) / 2


def convolution_outputs(model: nn.Module, size: int) -> int:
    """Return the number of values that all convolutions together give for one image."""
    counted: list[int] = []
    hooks = [
        module.register_forward_hook(lambda _module, _images, output: counted.append(output[0].numel()))
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        model(torch.zeros(2, 3, size, size))
    for hook in hooks:
        hook.remove()
    return sum(counted)


def bound(network: str, settings: TrainingSettings, size: int, peak: float, copied: float) -> float:
    """Return the images/s that a training could reach: 1 / (FLOPs / peak + bytes moved / copying)."""
    model = network_named(network).build(settings, 20, size)
    moved = PASSES * device.precision().itemsize * convolution_outputs(model, size)
    return 1 / (training_flops(model, size) / peak + moved / copied)
