"""Whether this machine may have an accelerator, told without torch, whose import takes seconds."""

import sys
from functools import cache
from pathlib import Path

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri/renderD128")  # NVIDIA's, AMD's, and Intel's on Linux


@cache
def has_accelerator() -> bool:
    """Say whether torch finds an accelerator; torch is asked only where a driver, or macOS, speaks for one."""
    if sys.platform != "darwin" and not any(Path(driver).exists() for driver in DRIVERS):
        return False
    import torch

    return torch.accelerator.is_available()
