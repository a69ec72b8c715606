"""What shapes a result, as a digest: settings, data, code, versions of libraries and hardware."""

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CODE = Path(__file__).resolve().parents[1]
LIBRARIES = ("numba", "numpy", "opencv-python-headless", "optuna", "pillow", "scipy", "torch", "torchvision")


def fingerprint(settings: Any, folders: Iterable[str | Path], hardware: Iterable[str] = ()) -> str:
    """Return a digest of settings (JSON), of all files in folders, of hardware, and of the code and its libraries."""
    parts = [settings, [_files(Path(folder)) for folder in folders], list(hardware), code_and_libraries()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def code_and_libraries(libraries: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of Python and of libraries, and a digest of all code below stages/, by name."""
    files = sorted(CODE.rglob("*.py"))
    code = hashlib.sha256(b"".join(file.relative_to(CODE).as_posix().encode() + file.read_bytes() for file in files))
    known = {"python": platform.python_version(), "code": code.hexdigest()[:12]}
    return known | {name: _version(name) for name in libraries}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "missing"


def _files(folder: Path) -> list[tuple[str, str]]:
    """Return path below the folder and SHA-256 of each file in it."""
    digests = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digests.append((path.relative_to(folder).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()))
    return digests
