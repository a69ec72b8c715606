"""The hardware a run finds: which device computes, in which precision, with how much memory."""

import ctypes
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch

from stages.hardware import distributed
from stages.hardware.memory import peak_resident_megabytes
from stages.runtime.cores import available_cores

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def device() -> torch.device:
    """Return the accelerator where there is one (CUDA, ROCm, MPS, XPU), else the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found or torch.device("cpu")


def description() -> str:
    """Return what to call the device in a table, e.g. "NVIDIA H200", "CPU, 2 threads" or "4 x CPU, 1 threads"."""
    several = f"{distributed.count()} x " if distributed.count() > 1 else ""
    return several + _device_name()


def _device_name() -> str:
    if device().type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads"
    name = getattr(_backend(), "get_device_name", None)  # Apple's has none
    return str(name()) if name else device().type.upper()


def device_type() -> str:
    """Return what decides about the bits of a result. Of several processes their number does not count.

    A training goes on with more or fewer of them, and ends in almost the same.
    """
    return description() if distributed.count() == 1 else f"{device().type.upper()}s together"


def precision() -> torch.dtype:
    """Return bfloat16 where the hardware is fast in it and torch may use it, else float32.

    Torch may not where ATEN_CPU_CAPABILITY holds it to less than the processor has.
    """
    if device().type == "cpu":
        is_limited = torch.backends.cpu.get_cpu_capability() in ("AVX2", "DEFAULT")
        is_fast = is_fast_in_bfloat16(torch.cpu.get_capabilities()) and not is_limited
        return torch.bfloat16 if is_fast else torch.float32
    supports = getattr(_backend(), "is_bf16_supported", None)
    return torch.bfloat16 if supports and supports(including_emulation=False) else torch.float32


def is_fast_in_bfloat16(capabilities: Mapping[str, Any]) -> bool:
    """Say whether a CPU computes in bfloat16 faster than in float32: by AMX, or AMD's AVX-512.

    Intel's AVX-512 has instructions for it too, and does half as much with them (convolutions: 0.55 to 0.75 of float32
    on a Xeon whose AMX a virtual machine hides).
    """
    is_intel = "Intel" in str(capabilities.get("cpu_name"))
    return bool(capabilities.get("amx_bf16") or (capabilities.get("avx512_bf16") and not is_intel))


def sum_precision() -> torch.dtype:
    """Return the most exact type that the device adds numbers in; Apple's has no float64."""
    return torch.float32 if device().type == "mps" else torch.float64


def _backend() -> Any:
    return getattr(torch, device().type)


def mixed_precision() -> AbstractContextManager[None]:
    """Return the context in which the forward pass computes in `precision()`."""
    return torch.autocast(device().type, precision(), enabled=precision() != torch.float32)


def be_deterministic() -> None:
    """Have the same seed on the same device and number of threads give the same bits; must come before any work.

    Where an accelerator other than CUDA has no such way of doing something, torch warns and does it as it can.
    """
    use_available_cores()
    if device().type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=device().type != "cuda")
        torch.backends.cudnn.benchmark = False


def use_available_cores() -> None:
    """Have torch start no more threads than this process has cores: torch counts a container's machine, not its quota.

    numba takes as many as torch has. A number of the user's own (OMP_NUM_THREADS) stays.
    """
    if "OMP_NUM_THREADS" not in os.environ and available_cores() < torch.get_num_threads():
        torch.set_num_threads(available_cores())


def has_room_for(size: int) -> bool:
    """Say whether the device can hold `size` bytes of images and still train: as much again must be free."""
    shares_main_memory = device().type in ("cpu", "mps")
    return shares_main_memory or 2 * size < torch.accelerator.get_memory_info()[0]


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next batch, instead of asking the system for zeroed pages each time.

    A training step frees and takes the same hundreds of megabytes again; on a CPU this alone makes it up to 1.4 times
    as fast, for up to 1 GB more memory. Does nothing on systems without glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_TOP_PAD, 512 << 20)


def peak_memory_megabytes() -> int:
    """Return the most memory this process has held so far: on the accelerator where there is one, else resident."""
    if device().type not in ("cpu", "mps"):  # Apple's shares main memory
        return round(torch.accelerator.max_memory_allocated() / 2**20)
    return peak_resident_megabytes()
