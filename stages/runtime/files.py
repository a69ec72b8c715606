"""Write files and folders so that what exists is complete: under another name first, renamed when done."""

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.runtime.errors import UserError

FAILED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
NO_FOLDER = (PermissionError, FileNotFoundError, NotADirectoryError)
UNFINISHED = ".unfinished"  # suffix of what is being written; data/.gitignore and .dvcignore pass over it


def is_failed_write(error: BaseException) -> bool:
    """Say whether an error is of a disk that is full or fails, whatever was being done when it came."""
    return isinstance(error, OSError) and error.errno in FAILED_WRITES


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the name `path` when the block ends well and vanishes when it fails."""
    path = Path(path)
    unfinished = path.with_name(path.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)  # what a killed run left
    try:
        with _named_in_errors(path):
            unfinished.mkdir(parents=True)
            yield unfinished
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give the path of a file to write; it takes the name `path` when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with _named_in_errors(path):
            yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def files_below(folder: Path) -> list[Path]:
    """Return all files of a folder in the order of their names, however deep: Python's own walks stop at a thousand."""
    found, waiting = [], [folder]
    while waiting:
        with suppress(*NO_FOLDER), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file():
                    found.append(Path(entry.path))
    return sorted(found)


@contextmanager
def _named_in_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None and is_failed_write(error):  # unlike a failed open they do not say where
            error.filename = str(path)
        raise


def missing(path: str | Path, otherwise: str) -> str:
    """Return what is said of a file or folder that is not there: that DVC has it, or otherwise what to do."""
    given = next((each for each in (Path(path), *Path(path).parents) if Path(f"{each}.dvc").is_file()), None)
    if given is None:
        return f"{path} does not exist; {otherwise}"
    return f"{path} is with DVC and not here yet: `dvc pull {given}.dvc` brings it"


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON that Git can compare: sorted keys, an entry a line."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Return the value of a JSON file. Raises UserError where it holds none."""
    return parse_json(Path(path).read_bytes(), str(path))


def parse_json(text: str | bytes, name: str) -> Any:
    """Return the value of a JSON file's text. Raises UserError with the file's name where it holds none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(
            f"{name} is damaged ({error}): cut off, or with the marks of a merge in it; remove it, and `dvc repro` or"
            " `dvc checkout` makes it anew"
        ) from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as UTF-8."""
    with atomic_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: str | Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as CSV below a line with the names of `columns`; a value that is absent stays empty."""
    with atomic_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        quoting = csv.DictWriter(file, columns, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for row in rows:  # readers take a carriage return for the end of a line unless it is quoted
            (quoting if any("\r" in str(value) for value in row.values()) else writer).writerow(row)


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column name."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
