"""The device is whatever torch finds, and each kind is used as far as it goes."""

import numpy as np
import pytest
import torch

from stages.hardware import device
from stages.images.reading import encode
from stages.images.shards import Row, ShardWriter
from stages.networks.common.image_set import ImageSet, load_images


@pytest.fixture
def accelerator(monkeypatch):
    """Have torch say that there is an accelerator of a kind."""

    def choose(kind: str, free: int = 0) -> None:
        found = torch.device(kind)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found)  # noqa: ARG005
        monkeypatch.setattr(torch.accelerator, "get_memory_info", lambda: (free, 2 * free))

    return choose


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_whichever_accelerator_torch_finds_is_used(accelerator, kind):
    """NVIDIA's and AMD's are both called cuda."""
    accelerator(kind)
    assert device.device() == torch.device(kind)


def test_apple_s_accelerator_computes_in_float32(accelerator):
    """It has no float64 for sums, bfloat16 is untried on it, and it shares the main memory."""
    accelerator("mps")
    assert (device.precision(), device.sum_precision()) == (torch.float32, torch.float32)
    assert device.description() == "MPS"
    assert device.has_room_for(10**15)
    assert device.peak_memory_megabytes() > 10


def test_an_accelerator_with_bfloat16_computes_in_it(accelerator, monkeypatch):
    """As the accelerator itself says; sums are exact where they can be."""
    accelerator("xpu")
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda including_emulation, answer=supported: answer)  # noqa: ARG005
        assert device.precision() == expected
    assert device.sum_precision() == torch.float64


def test_images_that_an_accelerator_has_no_room_for_stay_in_main_memory(accelerator, tmp_path):
    """Their batches are brought over one by one; as much again must be free for the training."""
    with ShardWriter(tmp_path, ["crow"]) as writer:
        for number in range(4):
            writer.add(Row(encode(np.full((8, 8, 3), 40 * number, np.uint8), 95), f"crow/{number}.jpg", 0))
    size = 4 * 8 * 8 * 3
    for free, expected in ((2 * size, "cpu"), (2 * size + 1, "meta")):  # torch's device without memory stands for one
        accelerator("meta", free)
        assert load_images(tmp_path, torch.device("meta")).pixels.device.type == expected
    accelerator("meta")
    images = load_images(tmp_path, torch.device("meta"))
    for rows in (slice(0, 2), torch.tensor([3, 1])):
        pixels, labels = images.batch(rows)
        assert (pixels.device.type, labels.device.type, tuple(pixels.shape)) == ("meta", "meta", (2, 3, 8, 8))


def test_rows_without_copies_are_originals():
    """And what follows one as its copy counts with it."""
    images = ImageSet(torch.zeros(5, 2, 2, 3, dtype=torch.uint8), torch.zeros(5), [], [""] * 5)
    assert [each.tolist() for each in images.originals()] == [[0, 1, 2, 3, 4], [1, 1, 1, 1, 1]]


@pytest.fixture
def _two_threads(monkeypatch):
    """Torch as it comes on a machine of two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize(("wanted", "cores", "threads"), [(None, 1, 1), (None, 2, 2), (None, 64, 2), ("2", 1, 2)])
def test_torch_starts_no_more_threads_than_there_are_cores(monkeypatch, wanted, cores, threads):
    """In a container with a quota; never more than torch would have, and never against OMP_NUM_THREADS."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if wanted:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    monkeypatch.setattr(device, "available_cores", lambda: cores)
    device.be_deterministic()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, True),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, False),  # a virtual machine hides AMX
        ({"cpu_name": "AMD EPYC", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"cpu_name": "AMD EPYC", "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_bfloat16_is_for_cpus_that_are_faster_with_it(capabilities, fast):
    """Instructions for it are not enough: Intel's AVX-512 does half as much with them as with float32."""
    assert device.is_fast_in_bfloat16(capabilities) == fast


@pytest.mark.parametrize(("used", "precision"), [("AVX512", torch.bfloat16), ("AVX2", torch.float32)])
def test_a_processor_that_torch_may_not_use_to_the_full_trains_in_float32(used, precision, monkeypatch):
    """ATEN_CPU_CAPABILITY=avx2 has torch do without AVX-512, where bfloat16 is emulated."""
    monkeypatch.setattr(device, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "AMD EPYC", "avx512_bf16": True})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: used)
    assert device.precision() == precision
