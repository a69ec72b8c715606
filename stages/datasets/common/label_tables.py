"""Read a table of labels: which file is of which class and, where it says so, of which split and group."""

import csv
import difflib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from stages.datasets.common.folders import SourceFile, access_error, is_image_name, subfolders, walk_with_errors
from stages.datasets.common.layouts import SPLIT_WORDS, files_in_folders, split_named, top_folder
from stages.runtime.errors import UserError
from stages.runtime.names import has_control_characters, natural_order

HEADINGS = {  # the columns that are read, and what else they may be called where just one is there
    "file": ("file", "filename", "file_name", "image", "image_path", "path", "filepath"),
    "label": ("label", "class", "class_name", "target", "category"),
    "split": ("split",),
    "group": ("group",),
    "decision": ("decision",),
}
ID_HEADINGS = ("image_id", "id")  # of files, where no column names them
COLUMNS = "expected columns file and label, and perhaps split and group"
KEEP, CHANGE, REMOVE = "keep", "change to ", "remove"  # what a person may decide on an image
LONGEST_NAME, LONGEST_PATH = 255, 1000  # bytes and characters that all file systems hold


def _relative(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("must be none, or a file within dataset.folder.path, where DVC sees it change: labels.csv")
    return name


TableName = Annotated[str, AfterValidator(_relative)]


class Line(NamedTuple):
    """A row of the table, and the number of its line."""

    number: int
    file: str
    label: str
    split: str = ""
    group: str = ""
    decision: str = ""
    surplus: str = ""  # what stands beyond the last column
    given: str = ""  # the label that a person has changed

    @property
    def path(self) -> PurePosixPath:
        """Where the file lies from the table on; Windows separates folders by backslashes."""
        return PurePosixPath(self.file.replace("\\", "/"))

    @property
    def removed(self) -> bool:
        """Whether the image is to be left out."""
        return self.decision.casefold() == REMOVE

    @property
    def is_confirmed(self) -> bool:
        """Whether a person has looked at the label, and kept or changed it."""
        return self.decision.casefold() == KEEP


def files_in_table(here: Path, name: str, source: Path) -> tuple[list[SourceFile], dict[str, list[str]]]:
    """Return a file for each row and for each image without one, and the names of the classes of each split.

    Each goes to where it would go without the table: what a table changes of an image is its class, not its name.
    Raises UserError where the table is missing, cannot be read, or contradicts itself.
    """
    table = next((folder / name for folder in _wrapped(here) if (folder / name).is_file()), None)
    if table is None:
        meant = _meant(name, [path.name for path in here.iterdir()])
        raise UserError(f"params.yaml: dataset.folder.labels = {name}, but {source} has no such file{meant}")
    try:
        lines = list(_lines(table.read_text(encoding="utf-8-sig")))  # Excel marks UTF-8 so
    except UnicodeDecodeError:
        raise UserError(f"{source / name}: not UTF-8; save it as CSV UTF-8") from None
    except _Mistake as mistake:
        raise UserError(f"{source / name}{mistake}") from None
    index = _Index(table)
    paths = {line: index.find(line.path) for line in lines if not _mistake(line) and not _leads_out(line)}
    if mistakes := _mistakes(lines, paths, table.parent):
        raise UserError(*(f"{source / name}, {mistake}" for mistake in mistakes))
    index.print_guesses(source / name)
    _print_decisions(lines, source / name)
    named = {path: line for line, path in paths.items() if isinstance(path, Path)}
    others = {
        path: error or f"{table.name} has no row for it: add one, which may say {REMOVE} in a column decision"
        for path, error in index.files.items()
        if path not in named and path != table and (error or is_image_name(path))
    }
    targets = _targets(here, table.parent, [*named, *others])
    found = [_source_file(line, path, targets[path], table) for path, line in named.items() if not line.removed]
    found += [SourceFile(path, targets[path], error=error) for path, error in others.items()]
    classes: dict[str, list[str]] = {split: [] for split in ("", *SPLIT_WORDS)}
    for split, label in {(file.split, file.class_name) for file in found if file.class_name}:
        classes[split].append(label)
    return found, {split: natural_order(names) for split, names in classes.items() if names}


def _meant(name: str, others: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [other for other in others if other != name], n=1)
    return f"; did you mean {close[0]}?" if close else ""


class _Mistake(Exception):
    """Why a table cannot be read at all; begins with its line."""


def _wrapped(folder: Path) -> Iterator[Path]:
    """Yield a folder and, where it holds but one, that one, as archives often wrap all they have, and so on."""
    while True:
        yield folder
        below = subfolders(folder)
        if len(below) != 1:
            return
        folder = below[0]


def _lines(text: str) -> Iterator[Line]:
    first, _, rest = text.partition("\n")
    excel = re.fullmatch(r"sep=(.)\s*", first, re.IGNORECASE)  # by Excel, to itself
    first = rest.partition("\n")[0] if excel else first
    delimiter = excel[1] if excel else max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(rest if excel else text, newline=""), delimiter=delimiter)
    try:
        heading = [cell.strip().casefold() for cell in next(reader, [])]
        columns = _columns(heading)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                values = dict(zip(heading, cells, strict=False))
                surplus = delimiter.join(cells[len(heading) :]).strip(delimiter)
                number = reader.line_num + bool(excel)
                known = {name: values.get(column, "") for name, column in columns.items()}
                yield _decided(Line(number, surplus=surplus, **known))
    except csv.Error as error:
        raise _Mistake(f", line {reader.line_num + bool(excel)}: {error}; is a double quote missing?") from None


def _decided(line: Line) -> Line:
    """Return a row with the label that a person has decided on."""
    if line.decision.casefold().startswith(CHANGE):
        return line._replace(label=line.decision[len(CHANGE) :].strip(), decision=KEEP, given=line.label)
    return line


def _columns(heading: list[str]) -> dict[str, str]:
    """Return which column holds what."""
    found: dict[str, str] = {}
    for name, words in HEADINGS.items():
        present = [word for word in words if word in heading]
        if name == "file" and not present:
            present = [word for word in ID_HEADINGS if word in heading]
        if present and (present[0] == name or len(present) == 1):
            found[name] = present[0]
        elif present:
            raise _Mistake(
                f", line 1: {' and '.join(present)} could each be the column {name}; call one of them {name}"
            )
    if twice := [word for word, count in Counter(heading).items() if count > 1 and word in found.values()]:
        raise _Mistake(f", line 1: two columns are called {twice[0]}; rename or remove one")
    if not {"file", "label"} <= set(found):
        raise _Mistake(f": has the columns {', '.join(filter(None, heading)) or 'of an empty file'}; {COLUMNS}")
    return found


class _Index:
    """The files beside a table and below, found by what a table may call them."""

    def __init__(self, table: Path) -> None:
        self.table = table
        self.files = dict(walk_with_errors(table.parent))  # why each cannot be read, "" where it can
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.guesses: dict[PurePosixPath, Path] = {}
        for file in filter(is_image_name, self.files):
            within = PurePosixPath(file.relative_to(table.parent))
            for name in {within, within.with_suffix(""), PurePosixPath(within.name), PurePosixPath(within.stem)}:
                self.by_name[str(name).casefold()].append(file)

    def find(self, path: PurePosixPath) -> Path | list[Path]:
        """Return the file at a path or, without one, what is called so but for folders, case and suffix.

        Where several are, return these.
        """
        file = self.table.parent / path
        if file in self.files or access_error(file) == "" or file.is_symlink():
            return file
        found = self.by_name.get(str(path).casefold(), [])
        if len(found) == 1:
            self.guesses[path] = found[0]
            return found[0]
        return found or file

    def print_guesses(self, table: Path) -> None:
        """Say which names were taken for which files."""
        if self.guesses:
            path, file = next(iter(self.guesses.items()))
            within = str(file.relative_to(self.table.parent))
            print(f"{table}: {len(self.guesses)} names stand for files, such as {str(path)!r} for {within!r}")


def _print_decisions(lines: list[Line], table: Path) -> None:
    """Say how many labels a person has confirmed, as they are or changed, and how many images are left out."""
    confirmed, removed = (sum(getattr(line, name) for line in lines) for name in ("is_confirmed", "removed"))
    if confirmed or removed:
        print(f"{table}: labels confirmed or changed: {confirmed:,}; images removed: {removed:,}")


def _mistakes(lines: list[Line], paths: Mapping[Line, Path | list[Path]], folder: Path) -> list[str]:
    """Return what nobody can act upon, each with its line: contradictions, and names that cannot be a file's."""
    if not lines:
        return [f"line 1: no row follows; {COLUMNS}"]
    found = [f"line {line.number}: {mistake}" for line in lines if (mistake := _mistake(line))]
    found += [
        f"line {line.number}: decision {line.decision!r} is none of {KEEP}, {CHANGE}CLASS and {REMOVE}"
        for line in lines
        if line.decision.casefold() not in ("", KEEP, REMOVE)
    ]
    classes = Counter(line.label for line in lines if not line.removed)
    found += [
        f"line {line.number}: no other image is of class {line.label!r}{_meant(line.label, classes)}"
        for line in lines
        if line.given and line.label and classes[line.label] == 1
    ]
    if outside := [line for line in lines if _leads_out(line)]:
        more = f", and so do {len(outside) - 1} others" if len(outside) > 1 else ""
        found.append(
            f"line {outside[0].number}: {outside[0].file!r} leads out of the table's folder{more}; name files relative"
            " to the table"
        )
    first: dict[Path, Line] = {}
    for line, path in paths.items():
        if isinstance(path, list):
            several = " or ".join(str(each.relative_to(folder)) for each in path[:3])
            found.append(f"line {line.number}: {line.file!r} may be {several}; name its folder and suffix")
        elif (earlier := first.setdefault(path, line)) is not line:
            found.append(f"line {line.number}: {line.file!r} has a row already, line {earlier.number}")
    splits = {split_named(line.split) for line in lines if line.split}
    if splits and "train" not in splits:
        found.append(f"column split: no row says train; expected {', '.join(SPLIT_WORDS)}")
    labels = {line.label for line in lines}
    if not splits and "train" in labels and labels <= set(SPLIT_WORDS):
        found.append(f"column label: {', '.join(sorted(labels))} are splits, no classes: call their column split")
    if splits:
        without = [line for line in lines if not line.split and not line.removed]
        found += [
            f"line {line.number}: has no split, and others have: training, validation or test" for line in without
        ]
    return found


def _leads_out(line: Line) -> bool:
    return line.path.is_absolute() or ".." in line.path.parts or bool(re.match("[A-Za-z]:", line.file))


def _mistake(line: Line) -> str:
    if line.surplus:
        return f"{line.surplus!r} is beyond the last column; put a name that holds a separator in double quotes"
    if not line.file:
        return "names no file"
    longest = max(len(part.encode()) for part in ("", *line.path.parts))
    if "\0" in line.file or longest > LONGEST_NAME or len(line.file) > LONGEST_PATH:
        return f"{line.file[:40]!r}... cannot be the name of a file: a NUL is in it, or it is too long"
    if line.split and not split_named(line.split):
        return f"split {line.split!r} is none of {', '.join(word for words in SPLIT_WORDS.values() for word in words)}"
    odd = has_control_characters(line.label) or "/" in line.label or "\\" in line.label or line.label.startswith(".")
    if odd or len(line.label.encode()) > LONGEST_NAME:
        return f"label {line.label[:40]!r} cannot be the name of a folder, which classes are kept in; call it otherwise"
    return ""


def _targets(here: Path, beside: Path, paths: list[Path]) -> dict[Path, PurePosixPath]:
    """Return where each file goes: as its folders would have it, or by its path from the table on."""
    own = {path: PurePosixPath(path.relative_to(beside)) for path in paths}
    try:
        of_folders = {file.path: file.target for file in files_in_folders(top_folder(here), here)[0]}
    except UserError:  # folders that are no classes, which is what most tables are for
        return own
    found = {path: of_folders.get(path, within) for path, within in own.items()}
    return found if len(set(found.values())) == len(found) else own


def _source_file(line: Line, path: Path, target: PurePosixPath, table: Path) -> SourceFile:
    where = f"line {line.number} of {table.name}"
    if not line.label:
        return SourceFile(path, target, error=f"{where} gives it no label")
    error = access_error(path) or ("a folder, no file" if path.is_dir() else "")
    if not (path.exists() or path.is_symlink()):
        error = f"{where} names it, but there is no such file"
    return SourceFile(path, target, split_named(line.split), line.label, line.group, error, line.is_confirmed)
