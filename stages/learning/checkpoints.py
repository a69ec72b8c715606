"""What an interrupted stage left, so that the next one goes on from there and ends in the same bytes.

Checkpoints lie in data/checkpoints, are no stage's output, and are named by a key of everything that shapes the result:
one of other settings, code, data, hardware or libraries is never used.
"""

import hashlib
import json
import platform
import re
import sys
import time
import warnings
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stages.inference import device
from stages.learning.abandoned import remove_abandoned
from stages.support.files import finished_file

FOLDER = Path("data/checkpoints")
# when they first compute: after a key is asked for
IMPORTED_LATE = (Path(__file__).with_name("kernels") / "compiled.py",)
IMPORT = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"}
Tensors = dict[str, Tensor]


def key_of(settings: Any, data: Iterable[str], code: Iterable[Path] | None = None, *, hardware: bool = True) -> str:
    """Return a key of settings (JSON), the files in the folders `data`, the code, and the libraries that it names.

    And of the hardware, unless a search is to be shared by machines of several kinds. `code` is what this process has
    imported, unless given.
    """
    used = sorted(imported_code() if code is None else code)
    files = [path for folder in data for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    parts = {
        "settings": settings,
        "code": [_digest(path) for path in used],
        "data": [(path.as_posix(), _digest(path)) for path in files],
        "hardware": (device.kind(), str(device.precision())) if hardware else None,
        "libraries": [platform.python_version(), *libraries_of(used)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def imported_code() -> set[Path]:
    """Return the project's files that this process has imported, or will once it computes."""
    root = Path(__file__).resolve().parents[2]
    loaded = {Path(str(getattr(module, "__file__", None))).resolve() for module in list(sys.modules.values())}
    return {path for path in loaded if path.is_relative_to(root / "stages")}.union(IMPORTED_LATE)


def libraries_of(code: Iterable[Path]) -> list[str]:
    """Return name and version of each library that files of code import, also where they do so late: `torch 2.15.0`."""
    names = {name for path in code for name in IMPORT.findall(path.read_text(encoding="utf-8"))}
    found = []
    for name in sorted(names - sys.stdlib_module_names - {"stages"}):
        try:
            found.append(f"{name} {version(DISTRIBUTIONS.get(name, name))}")
        except PackageNotFoundError:
            continue  # no import after all, but a line of text that looks like one
    return found


class Checkpoint:
    """What one run with one key left: tensors with JSON notes, or the journal of a search."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.tensors = FOLDER / f"{name}.{key}.safetensors"
        self.journal = FOLDER / f"{name}.{key}.journal"

    def save(self, tensors: Tensors, notes: Any) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        with finished_file(self.tensors) as unfinished:
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


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
