"""Unpack archives that may come from anywhere: none can write outside its folder or fill the disk or the memory."""

import bz2
import gzip
import io
import lzma
import re
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO
from unicodedata import category

from pydantic import Field

from stages.datasets.common.archive_names import encoding_of, raw_name
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.files import is_failed_write
from stages.runtime.names import folded, has_control_characters

CHUNK = 1 << 20  # bytes held in memory at a time
OPENERS: dict[str, Callable[[Path], io.BufferedIOBase]] = {
    ".tar": lambda path: path.open("rb"),
    ".tar.gz": gzip.GzipFile,
    ".tgz": gzip.GzipFile,
    ".tar.bz2": bz2.BZ2File,
    ".tar.xz": lzma.LZMAFile,
}
SUFFIXES = (*OPENERS, ".zip")
ENCRYPTED = 0x1  # flag bit of a zip member
DAMAGE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
)
NOT_UTF_8 = "has a name that is not UTF-8"
RENAME = "rename or remove it and pack again"
SET_ENCODING = (
    "set dataset.folder.name_encoding to what names are in (gbk, cp932, cp437, ...), or rename and pack again"
)
RAISE = "raise it in params.yaml if you trust the archive"
NOT_PLAIN = (
    "is a link, a device or a sparse file",
    "pack again with what links lead to (tar --dereference --hard-dereference)",
)
Member = tuple[str, IO[bytes] | None]  # name and content; None: a folder


class Limits(Section):
    """How much may be downloaded, and an archive unpack to before it is taken for a bomb."""

    unpacked_gigabytes: float = Field(default=50, gt=0)  # of 10^9 bytes, counted as they come: headers can lie
    files: int = Field(default=2_000_000, ge=1)  # and folders


DEFAULT_LIMITS = Limits()


class DamagedArchive(UserError):
    """An archive that cannot be read to its end."""


class _RefusedMember(Exception):
    def __init__(self, name: str | bytes, why: str, remedy: str = RENAME) -> None:
        super().__init__(f"member {name[:200]!r} {why}; {remedy}")


def is_archive(path: Path) -> bool:
    """Say whether the name of a file is that of an archive which `unpack` reads."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, limits: Limits = DEFAULT_LIMITS, name_encoding: str = "utf-8") -> None:
    """Unpack `archive` into `folder`, which exists; all files get mode 0644 and the present time.

    Names that are not marked as UTF-8 are in `name_encoding`; of a zip, "detect" finds the likeliest and says so.

    Raises UserError, and leaves `folder` as it was, where the archive is damaged, cut short, not what its suffix says,
    is more than `limits`, or has a member that is encrypted, no plain file or folder, or of a name that leads out of
    the folder, is not in its encoding, or is another's as well on some systems.
    """
    suffix = next(end for end in SUFFIXES if archive.name.lower().endswith(end))
    members = (
        _zip_members(archive, name_encoding)
        if suffix == ".zip"
        else _tar_members(archive, OPENERS[suffix], name_encoding)
    )
    try:
        with TemporaryDirectory(dir=folder, prefix=".unpacking.") as unpacking:
            _write(members, Path(unpacking), limits)
            for entry in Path(unpacking).iterdir():
                entry.rename(folder / entry.name)
    except _RefusedMember as refused:
        raise UserError(f"{archive}: refused, {refused}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{archive}: refused, {_RefusedMember(error.object, NOT_UTF_8)}") from None
    except (*DAMAGE_ERRORS, RuntimeError) as error:  # too deep a chain of headers ends in RecursionError
        if isinstance(error, OSError) and error.errno:  # the disk is full, say: not the archive's fault
            raise UserError(f"{archive}: cannot be unpacked: {error.strerror}") from None
        wrong = f"damaged, incomplete or no {suffix} archive ({error})"
        raise DamagedArchive(f"{archive}: {wrong}; fetch or pack it again, or correct its suffix") from None


@contextmanager
def unpacked(archive: Path, folder: Path, limits: Limits, name_encoding: str = "utf-8") -> Iterator[Path]:
    """Give a folder within `folder` that holds what `unpack` brings; it vanishes when the block ends."""
    with TemporaryDirectory(dir=folder, prefix=".unpacked.") as inside:
        unpack(archive, Path(inside), limits, name_encoding)
        yield Path(inside)


@contextmanager
def published_layout(archive: Path, title: str, section: str) -> Iterator[None]:
    """Raise a UserError for what goes wrong in reading an archive that is not laid out as its authors published it."""
    try:
        yield
    except (OSError, ValueError, LookupError) as error:
        if is_failed_write(error):
            raise
        raise UserError(
            f"{archive}: not laid out as {title} is ({type(error).__name__}: {error}); remove it and run again,"
            f" or correct {section}.url in params.yaml"
        ) from None


def _write(members: Iterator[Member], folder: Path, limits: Limits) -> None:
    taken: dict[str, tuple[str, bool]] = {}
    left = int(limits.unpacked_gigabytes * 1e9)
    for count, (name, content) in enumerate(members, start=1):
        with content or nullcontext():
            path = folder / _path(name, content is None, taken)
            if max(count, len(taken)) > limits.files:
                raise _RefusedMember(name, f"exceeds the limit of files = {limits.files}", RAISE)
            (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
            if content is not None and (left := left - _copy(content, path, left)) < 0:
                limit = f"unpacked_gigabytes = {limits.unpacked_gigabytes:g}"
                raise _RefusedMember(name, f"exceeds the limit of {limit}", RAISE)


def _copy(content: IO[bytes], path: Path, limit: int) -> int:
    """Write a file and return its size, or stop at one larger than `limit`."""
    size = 0
    with path.open("xb") as file:
        while size <= limit and (chunk := content.read(CHUNK)):
            size += file.write(chunk)
    path.chmod(0o644)
    return size


def _path(name: str, is_folder: bool, taken: dict[str, tuple[str, bool]]) -> PurePosixPath:
    """Return the path of a member; add it and the folders above it to those that are `taken`."""
    path = PurePosixPath(name)
    refusals = {
        "has a control character in its name": has_control_characters(name.replace("\r", "")),
        "has too long a name": len(name.encode(errors="replace")) > 1000,  # macOS allows 1024, unpacking needs some
        "has a backslash in its name": "\\" in name,
        "has an absolute path": name.startswith("/") or bool(re.match("[A-Za-z]:", name)),
        "has .. in its path": ".." in path.parts,
        "has no name": not is_folder and not path.parts,
    }
    if any(refusals.values()):
        raise _RefusedMember(name, next(reason for reason, applies in refusals.items() if applies))
    for part in [*reversed(path.parents), path][1:]:
        # macOS and Windows hold names for one that differ in case, macOS also in how their accents are composed
        new = str(part), part != path or is_folder
        old = taken.setdefault(folded(new[0]), new)
        if old[0] != new[0]:
            raise _RefusedMember(name, f"would overwrite {old[0]!r} where case does not count")
        if old is not new and not (old[1] and new[1]):
            raise _RefusedMember(name, "comes twice")
    return path


def _zip_members(archive: Path, name_encoding: str) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as zipped:
        if sum(info.compress_size for info in zipped.infolist()) > archive.stat().st_size:
            raise zipfile.BadZipFile("its members overlap")  # as they do in bombs
        for info, name in zip(zipped.infolist(), _zip_names(zipped, archive, name_encoding), strict=True):
            if info.flag_bits & ENCRYPTED:
                raise _RefusedMember(name, "is encrypted", "pack again without a password")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedMember(name, *NOT_PLAIN)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # zipfile would unpack it in one go, however much that is
                raise _RefusedMember(name, "is compressed by a rare method", "pack again with deflate")
            _check_encoding(name, name_encoding)
            yield name, None if name.endswith("/") else zipped.open(info)


def _check_encoding(name: str, name_encoding: str) -> None:
    """Raise _RefusedMember for a name with bytes that are not in its encoding, for which surrogates stand."""
    if any(category(character) == "Cs" for character in name):
        named = "utf-8" if name_encoding == "detect" else name_encoding
        why = NOT_UTF_8 if named == "utf-8" else f"has a name that is not {named}"
        raise _RefusedMember(name, why, RENAME if name_encoding == "utf-8" else SET_ENCODING)


def _zip_names(zipped: zipfile.ZipFile, archive: Path, name_encoding: str) -> list[str]:
    raw = [raw_name(info) for info in zipped.infolist()]
    unmarked = [name for name in raw if isinstance(name, bytes) and not name.isascii()]
    encoding = encoding_of(unmarked, name_encoding) or "utf-8"
    names = [name.decode(encoding, "surrogateescape") if isinstance(name, bytes) else name for name in raw]
    if name_encoding == "detect" and encoding != "utf-8":
        example = next(name for name in names if not name.isascii())
        print(
            f"{archive}: names taken to be in {encoding}, such as {example!r}; if that is wrong, set"
            " dataset.folder.name_encoding",
            file=sys.stderr,
        )
    if not any("/" in name for name in names):  # PowerShell separates folders by backslashes
        return [name.replace("\\", "/") for name in names]
    return names


def _tar_members(archive: Path, opened: Callable[[Path], io.BufferedIOBase], name_encoding: str) -> Iterator[Member]:
    encoding = "utf-8" if name_encoding == "detect" else name_encoding
    with (
        opened(archive) as stream,
        tarfile.open(fileobj=(reads := _BoundedReads(stream)), mode="r:", encoding=encoding) as tar,
    ):
        while info := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # else memory grows with their number
            if info.issparse() or not (info.isreg() or info.isdir()):
                raise _RefusedMember(info.name, *NOT_PLAIN)
            _check_encoding(info.name, name_encoding)
            yield info.name, tar.extractfile(info)
        if reads.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it breaks off")  # which tarfile takes for the end
        if stream.read(CHUNK) and stream.read(1):  # also checks the sum at the end of a compressed file
            raise tarfile.ReadError("it goes on after its end")


class _BoundedReads(io.BufferedIOBase):
    """A stream that reads no more at a time than fits into memory, whatever length a header names."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self.stream, self.last = stream, b""
        self.seek, self.tell = stream.seek, stream.tell  # type: ignore[method-assign]

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= CHUNK:
            raise tarfile.ReadError("it has a header of absurd size")
        self.last = self.stream.read(size)
        return self.last
