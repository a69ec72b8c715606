"""Of what a result is made: a key that is the same where settings, data, code and libraries are."""

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

STAGES = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^ *(?:from|import) (\w+)", re.MULTILINE)
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"}


def key_of(settings: Any, data: Iterable[str | Path], code: Iterable[Path]) -> str:
    """Return a key of settings (JSON), the files in each folder of `data`, the code, and the libraries that it names.

    Where a folder lies does not count. Nor does the hardware, which torch knows: checkpoints.on_this_hardware.
    """
    used = sorted(code)
    parts = {
        "settings": settings,
        "code": [_digest(path) for path in used],
        "data": [_digests_below(Path(folder)) for folder in data],
        "libraries": [platform.python_version(), *libraries_of(used)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def code_of(network: str, *rooms: str) -> list[Path]:
    """Return all files of some rooms of stages/, and the network's."""
    return [path for room in rooms for path in (STAGES / room).rglob("*.py")] + [STAGES / f"networks/{network}.py"]


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


def _digests_below(folder: Path) -> list[tuple[str, str]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(path.relative_to(folder).as_posix(), _digest(path)) for path in files]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
