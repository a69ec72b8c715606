"""Walk a person's folders: every file of a class is found, or listed with the reason why it cannot be read."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from stages.runtime.errors import UserError

OF_FILE_MANAGERS = ("__MACOSX", "Thumbs.db", "desktop.ini", "Icon\r")  # what they leave between images
IMAGE_SUFFIXES = (  # by which a file that no class and no table names is taken for an image
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
)
MAX_DEPTH = 100  # folders below each other; Python's own functions for folders fail beyond a few hundred
CIRCLE = "a link that leads round in a circle"
NO_FILE = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class SourceFile(NamedTuple):
    """A file of a person's: where it lies, where fetch puts it, what it is, and why it cannot be used, if so."""

    path: Path
    target: PurePosixPath  # below data/raw
    split: str = ""  # train, val or test where the source says so
    class_name: str = ""  # "": of no class
    group: str = ""
    error: str = ""
    confirmed: bool = False  # a person has decided on its label


def is_hidden(path: Path) -> bool:
    """Say whether a file or folder is hidden, or one that file managers leave: not a person's own."""
    return path.name.startswith(".") or path.name in OF_FILE_MANAGERS


def is_image_name(path: PurePosixPath | Path) -> bool:
    """Say whether the suffix of a file is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def list_folder(folder: Path) -> list[Path]:
    """Return what is in a folder but for what is hidden, in name order. Raises UserError where it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if not is_hidden(path))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}; mend or remove this folder") from None


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that can be read, but for hidden ones, in name order."""
    return [path for path in list_folder(folder) if not access_error(path) and path.is_dir()]


def walk_with_errors(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file below a folder in name order and why it cannot be read, "" where it can.

    Links are followed, but not round in circles: to a folder above the one in which they are found.
    """
    yield from _walk(folder, _identities(folder), MAX_DEPTH)


def _walk(folder: Path, above: frozenset[tuple[int, int]], depth: int) -> Iterator[tuple[Path, str]]:
    for path in list_folder(folder):
        if error := access_error(path):
            yield path, error
        elif not path.is_dir():
            yield path, ""
        elif _identity(path) in above:
            yield path, CIRCLE
        elif not depth:
            yield path, f"lies more than {MAX_DEPTH} folders deep; move what is in it up"
        else:
            yield from _walk(path, above | (_identities(path) if path.is_symlink() else {_identity(path)}), depth - 1)


def unwatched(folder: Path) -> str:
    """Return a line where there are links to folders below one: we follow them, DVC does not (dvc#774)."""
    files = walk_with_errors(folder) if folder.is_dir() else ()
    above = {parent for path, _ in files for parent in path.parents if parent.is_relative_to(folder)} - {folder}
    links = sorted(path for path in above if path.is_symlink())
    if not links:
        return ""
    all_of_them = f"{links[0]} and {len(links) - 1} others are links" if len(links) > 1 else f"{links[0]} is a link"
    return f"{all_of_them} to a folder, into which DVC does not look: after a change behind it, `dvc repro -f fetch`"


def _identities(folder: Path) -> frozenset[tuple[int, int]]:
    """Return what tells a folder and all above it from others, whatever links lead there."""
    real = folder.resolve()
    return frozenset(_identity(path) for path in (real, *real.parents))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def access_error(path: Path) -> str:
    """Return why a path is neither a file that can be opened nor a folder that can be listed; "" where it is one."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        return _reason(path, error)
    if kind == stat.S_IFDIR:
        return "" if os.access(path, os.R_OK | os.X_OK) else "a folder that may not be read (permission denied)"
    if kind != stat.S_IFREG:
        return f"{NO_FILE.get(kind, 'something else')}, no file"
    return "" if os.access(path, os.R_OK) else "may not be read (permission denied)"


def read_error(file: Path) -> str:
    """Return why a file cannot be read from its beginning to its end; "" where it can."""
    try:
        with file.open("rb") as opened:
            while opened.read(1 << 20):
                pass
    except OSError as error:
        return _reason(file, error)
    return ""


def _reason(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return CIRCLE
    if error.errno == errno.ENOENT and path.is_symlink():
        return f"a link to {path.readlink()}, which does not exist"
    return f"cannot be read ({error.strerror})"
