"""Walk a person's folders: every file of a class is found, or told with the reason why it cannot be read."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from stages.runtime.errors import UserError

LEFTOVERS = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what file managers leave between images; dot files as well
IMAGE_SUFFIXES = (  # by which a file that no class and no table names is taken for an image
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
)
KINDS = {
    stat.S_IFIFO: "a named pipe, no file",
    stat.S_IFSOCK: "a socket, no file",
    stat.S_IFCHR: "a device, no file",
    stat.S_IFBLK: "a device, no file",
}


class Entry(NamedTuple):
    """A file of a person's: where it lies, where it belongs below data/raw, and why it cannot be used, if so."""

    file: Path
    split: str = ""  # train, val or test where the source says so
    class_name: str = ""  # "": of no class
    within: PurePosixPath = PurePosixPath()  # the class's folder
    group: str = ""
    fault: str = ""

    @property
    def target(self) -> PurePosixPath:
        """The path below data/raw."""
        return PurePosixPath(self.split, self.class_name, self.within)


def is_leftover(path: Path) -> bool:
    """Say whether a file or folder is one that file managers leave, not a person's own."""
    return path.name.startswith(".") or path.name in LEFTOVERS


def is_image_name(path: PurePosixPath | Path) -> bool:
    """Say whether the suffix of a file is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def inside(folder: Path) -> list[Path]:
    """Return what is in a folder but for leftovers, in name order. Raises UserError where it cannot be read."""
    try:
        return sorted(entry for entry in folder.iterdir() if not is_leftover(entry))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}; mend or remove this folder") from None


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder but for leftovers, in name order."""
    return [entry for entry in inside(path) if not fault(entry) and entry.is_dir()]


def files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file below a folder and why it cannot be read, "" where it can; links are followed."""
    yield from _files(folder, (os.path.realpath(folder),))


def _files(folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    for entry in inside(folder):
        if reason := fault(entry):
            yield entry, reason
        elif not entry.is_dir():
            yield entry, ""
        elif any(Path(each).is_relative_to(real := os.path.realpath(entry)) for each in above):
            yield entry, "a link that leads round in a circle"
        else:
            yield from _files(entry, (*above, real))


def fault(path: Path) -> str:
    """Return why a path is neither a file that can be opened nor a folder that can be listed; "" where it is one."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except OSError as error:
        return _reason(path, error)
    if kind == stat.S_IFDIR:
        return "" if os.access(path, os.R_OK | os.X_OK) else "a folder that may not be read (permission denied)"
    if kind != stat.S_IFREG:
        return KINDS.get(kind, "no file")
    return "" if os.access(path, os.R_OK) else "may not be read (permission denied)"


def reading_fault(file: Path) -> str:
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
        return "a link that leads round in a circle"
    if error.errno == errno.ENOENT and path.is_symlink():
        return f"a link to {path.readlink()}, which does not exist"
    return f"cannot be read ({error.strerror})"
