"""What an interrupted stage left, so that the next one goes on from there and ends in the same bytes.

Checkpoints lie in data/checkpoints, are no stage's output, and are named by a key of everything that shapes the result:
one of other settings, code, data, hardware or libraries is never used.
"""

import hashlib
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stages.hardware import device
from stages.runtime.files import atomic_file
from stages.training.abandoned import remove_abandoned

FOLDER = Path("data/checkpoints")
# when they first compute: after a key is asked for
IMPORTED_LATE = (Path(__file__).parents[1] / "kernels/numba_kernels.py",)
Tensors = dict[str, Tensor]


def on_this_hardware(key: str) -> str:
    """Return the key of what a key of keys.py stands for, computed on hardware of this kind."""
    return hashlib.sha256(json.dumps([key, device.kind(), str(device.precision())]).encode()).hexdigest()[:32]


def imported_code() -> set[Path]:
    """Return the project's files that this process has imported, or will once it computes."""
    root = Path(__file__).resolve().parents[2]
    loaded = {Path(str(getattr(module, "__file__", None))).resolve() for module in list(sys.modules.values())}
    return {path for path in loaded if path.is_relative_to(root / "stages")}.union(IMPORTED_LATE)


class Checkpoint:
    """What one run with one key left: tensors with JSON notes, or the journal of a search."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.tensors = FOLDER / f"{name}.{key}.safetensors"
        self.journal = FOLDER / f"{name}.{key}.journal"

    def save(self, tensors: Tensors, notes: Any) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        with atomic_file(self.tensors) as unfinished:
            unfinished.write_bytes(save(contiguous, {"notes": json.dumps(notes)}))

    def restore(self) -> tuple[Tensors, Any] | None:
        """Return what `save` was given, or None where there is nothing, or nothing that can be read."""
        try:
            with safe_open(self.tensors, framework="pt") as file:
                notes = json.loads(file.metadata()["notes"])
                return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118  # no dict
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            self._warn(self.tensors, error)
            return None

    def remove(self) -> None:
        """Remove this run's checkpoints of every key, for it is finished; and those that nobody has come back to."""
        for path in FOLDER.glob(f"{self.name}.*"):
            path.unlink(missing_ok=True)
        remove_abandoned(FOLDER, time.time())

    def _warn(self, path: Path, error: Exception) -> None:
        warnings.warn(f"{path} cannot be read ({error}): starting anew", stacklevel=3)


def same_layout(values: Tensor, like: Tensor) -> Tensor:
    """Return `values` on the device and in the memory order of `like`, as fused kernels expect it."""
    return torch.empty_like(like).copy_(values)
