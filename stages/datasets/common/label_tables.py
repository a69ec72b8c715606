"""Read a table of labels: which file is of which class and, where it says so, of which split and group."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple
from unicodedata import category

from pydantic import AfterValidator

from stages.datasets.common.folders import Entry, fault, files, folders, is_image_name
from stages.datasets.common.layouts import WORDS, split_named
from stages.runtime.errors import UserError
from stages.runtime.names import natural_order

COLUMNS = "expected columns file and label, and perhaps split and group"


def _within_folder(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("must be none, or a file within dataset.folder.path, where DVC sees it change: labels.csv")
    return name


TableName = Annotated[str, AfterValidator(_within_folder)]


class Line(NamedTuple):
    """A row of the table, and the number of its line."""

    number: int
    file: str
    label: str
    split: str
    group: str


def entries_in_table(here: Path, name: str, source: Path) -> tuple[list[Entry], dict[str, list[str]]]:
    """Return an entry for each row and for each image without one, and the names of the classes of each split.

    Raises UserError where the table is missing, cannot be read, or contradicts itself.
    """
    table = next((folder / name for folder in _wrapped(here) if (folder / name).is_file()), None)
    if table is None:
        raise UserError(f"params.yaml: dataset.folder.labels = {name}, but {source} has no such file")
    lines = list(_lines(table, source / name))
    if mistakes := _mistakes(lines):
        raise UserError(*(f"{source / name}, {mistake}" for mistake in mistakes))
    entries = [_entry(line, table) for line in lines]
    named = {entry.file for entry in entries}
    for file, reason in files(table.parent):
        if file not in named and file != table and (reason or is_image_name(file)):
            within = PurePosixPath(file.relative_to(table.parent))
            entries.append(Entry(file, within=within, fault=reason or f"{table.name} has no row for it"))
    classes: dict[str, list[str]] = {split: [] for split in ("", *WORDS)}
    for split, label in {(entry.split, entry.class_name) for entry in entries if entry.class_name}:
        classes[split].append(label)
    return entries, {split: natural_order(names) for split, names in classes.items() if names}


def _wrapped(folder: Path) -> Iterator[Path]:
    """Yield a folder and, where it holds but one, that one, as archives often wrap all they have, and so on."""
    while True:
        yield folder
        below = folders(folder)
        if len(below) != 1:
            return
        folder = below[0]


def _lines(table: Path, told: Path) -> Iterator[Line]:
    try:
        text = table.read_text(encoding="utf-8-sig")  # Excel marks UTF-8 so
    except UnicodeDecodeError:
        raise UserError(f"{told}: not UTF-8; save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    columns = {(column or "").strip().casefold(): column for column in reader.fieldnames or ()}
    if not {"file", "label"} <= set(columns):
        raise UserError(f"{told}: has the columns {', '.join(filter(None, columns)) or 'of an empty file'}; {COLUMNS}")
    for row in reader:
        values = {name: (row[columns[name]] or "").strip() if name in columns else "" for name in Line._fields[1:]}
        yield Line(reader.line_num, **values)


def _mistakes(lines: list[Line]) -> list[str]:
    """Return what nobody can act upon, each with its line: contradictions, and names that cannot be a file's."""
    if not lines:
        return [f"line 1: no row follows; {COLUMNS}"]
    found = [f"line {line.number}: {wrong}" for line in lines if (wrong := _mistake(line))]
    by_file: dict[PurePosixPath, list[Line]] = defaultdict(list)
    for line in lines:
        by_file[PurePosixPath(line.file.replace("\\", "/"))].append(line)
    for first, *others in by_file.values():
        found += [f"line {line.number}: {line.file!r} has a row already, line {first.number}" for line in others]
    splits = {split_named(line.split) for line in lines if line.split}
    if splits and "train" not in splits:
        found.append(f"column split: no row says train; expected {', '.join(WORDS)}")
    labels = {line.label for line in lines}
    if not splits and "train" in labels and labels <= set(WORDS):
        found.append(f"column label: {', '.join(sorted(labels))} are splits, no classes: call their column split")
    if splits:
        found += [f"line {line.number}: has no split, and others have" for line in lines if not line.split]
    return found


def _mistake(line: Line) -> str:
    path = PurePosixPath(line.file.replace("\\", "/"))
    if not line.file:
        return "names no file"
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", line.file):
        return f"{line.file!r} leads out of the table's folder; name files relative to the table"
    if line.split and not split_named(line.split):
        return f"split {line.split!r} is none of {', '.join(word for words in WORDS.values() for word in words)}"
    odd = any(character in "/\\" or category(character) == "Cc" for character in line.label)
    if odd or line.label.startswith(".") or len(line.label.encode()) > 255:
        return f"label {line.label!r} cannot be the name of a folder, which classes are kept in; call it otherwise"
    return ""


def _entry(line: Line, table: Path) -> Entry:
    file = table.parent / line.file
    if not file.exists() and "\\" in line.file:  # written on Windows
        file = table.parent / line.file.replace("\\", "/")
    within = PurePosixPath(file.relative_to(table.parent))
    where = f"line {line.number} of {table.name}"
    if not line.label:
        return Entry(file, within=within, fault=f"{where} gives it no label")
    reason = fault(file)
    if not reason and file.is_dir():
        reason = "a folder, no file"
    if not (file.exists() or file.is_symlink()):
        reason = f"{where} names it, but there is no such file"
    split = split_named(line.split)
    return Entry(file, split, line.label, within, line.group, reason)
