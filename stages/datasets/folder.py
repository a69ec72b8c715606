"""Images of your own: a folder or an archive with a folder per class, with train/ and test/ of such, or with a table.

An archive may lie behind a URL, in a key of its own: DVC watches `path`, and would ask the network at every status.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import AfterValidator, Field

from stages.datasets.common.archive_names import NameEncoding
from stages.datasets.common.archives import SUFFIXES, is_archive, unpack
from stages.datasets.common.downloads import Checksum, download, file_name, web_address
from stages.datasets.common.folders import Entry, reading_fault
from stages.datasets.common.label_tables import TableName, entries_in_table
from stages.datasets.common.layouts import entries_in_folders, refuse_clashes, top_of
from stages.datasets.common.selection import Selection
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.files import write_csv
from stages.runtime.names import case_clashes, natural_order

TEMPORARY = "/.dvc/tmp/exps/"  # where DVC makes its copies of a study


def _none_or_archive(url: str) -> str:
    if url != "none" and not is_archive(Path(file_name(web_address(url)))):
        raise ValueError(f"must end in {', '.join(SUFFIXES)}")
    return url


class Settings(Section):
    """params.yaml's section `dataset.folder`: with a `url`, its archive is used and `path` is not."""

    path: str = Field(min_length=1)
    url: Annotated[str, AfterValidator(_none_or_archive)] = "none"
    checksum: Checksum = "none"
    labels: TableName = "none"
    name_encoding: NameEncoding = "detect"


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Copy the images of the chosen classes to folder/<class>/, or folder/train/<class>/ and so on for val and test.

    Beside them, bad_files.csv lists what cannot be read, and labels.csv what a table of labels says beyond classes.
    Raises UserError where the path is missing, no archive that can be read, or a class has no file, and where the URL
    cannot be downloaded.
    """
    source = Path(settings.path)
    if settings.url != "none":
        source = download(settings.url, settings.checksum, "dataset.folder")
    if not source.exists():
        raise UserError(f"params.yaml: dataset.folder.path = {source} does not exist; name a folder or an archive")
    if source.is_dir():
        _bring(source, settings, selection, folder, source)
        return
    if not is_archive(source):
        raise UserError(f"params.yaml: dataset.folder.path = {source} is no folder and no {', '.join(SUFFIXES)} file")
    with TemporaryDirectory(dir=folder, prefix=".unpacked.") as unpacked:
        unpack(source, Path(unpacked), selection.limits, settings.name_encoding)
        _bring(Path(unpacked), settings, selection, folder, source)


def _bring(here: Path, settings: Settings, selection: Selection, folder: Path, source: Path) -> None:
    """Copy the chosen images from `here` to `folder`; `source` is how a person knows `here`."""
    if settings.labels == "none":
        entries, known = entries_in_folders(top_of(here), source)
    else:
        entries, known = entries_in_table(here, settings.labels, source)
    if not entries and TEMPORARY in Path.cwd().as_posix():
        raise UserError(
            f"{source} holds no folder of images in this temporary copy of the study, which `dvc exp run --temp` or"
            " --queue made of what Git and DVC track: give DVC the images (`make images` for data/pictures, else"
            " `dvc add`), commit, and run it again"
        )
    names = natural_order(name for each in known.values() for name in each)
    refuse_clashes(names, source, "classes")
    _refuse_illegible_files(entries, source)
    _refuse_clashing_files(entries, source)
    counts = {(split, name): 0 for split in known for name in names}
    for entry in entries:
        if entry.class_name:
            counts[entry.split, entry.class_name] += 1
    if not selection.min_images_per_class:
        _refuse_lonely({split: set(each) for split, each in known.items()}, source)
    try:
        wanted = selection.class_names({name: _size(counts, list(known), name) for name in names})
    except UserError as problem:
        raise UserError(*(f"{source}: {line}" for line in problem.lines)) from None
    if empty := [PurePosixPath(split, name) for split in known for name in wanted if not counts[split, name]]:
        raise UserError(*(f"{source}: {path}/ holds no image; fill or remove it" for path in empty))
    chosen = list(_chosen(entries, wanted, selection))
    _copy(chosen, folder)
    if settings.labels != "none" and any(entry.split or entry.group for entry in chosen):
        facts = ({"file": each.target, "split": each.split, "group": each.group} for each in chosen if each.class_name)
        write_csv(folder / "labels.csv", ["file", "split", "group"], facts)


def _size(counts: dict[tuple[str, str], int], splits: list[str], name: str) -> int:
    """Return how many images of a class can be trained on; 0 where any split lacks it."""
    return counts[splits[0], name] if all(counts[split, name] for split in splits) else 0


def _refuse_lonely(classes: dict[str, set[str]], source: Path) -> None:
    """Raise UserError for each class that some splits have and others lack."""
    lines = []
    for name in natural_order(name for each in classes.values() for name in each):
        there, absent = (
            [f"{split}/" for split, has in classes.items() if (name in has) == wanted] for wanted in (1, 0)
        )
        if absent:
            lines.append(
                f"{source}: class {name!r} is in {' and '.join(there)} but not in {' and '.join(absent)}; complete or"
                " remove it, or set dataset.min_images_per_class: 1"
            )
    if lines:
        raise UserError(*lines)


def _refuse_illegible_files(entries: list[Entry], source: Path) -> None:
    """Raise UserError for names that are not UTF-8, as old archives leave them: Parquet and CSV cannot hold them."""
    names = [str(entry.target) for entry in entries]
    if odd := [name for name in names if any("\udc80" <= character <= "\udcff" for character in name)]:
        raise UserError(
            *(f"{source}: {name!r} is no name in UTF-8; rename it (convmv renames whole folders)" for name in odd)
        )


def _refuse_clashing_files(entries: list[Entry], source: Path) -> None:
    """Raise UserError for files that would overwrite each other on another system."""
    paths = [str(part) for entry in entries for part in (entry.target, *entry.target.parents)]
    deepest = [pair for pair in case_clashes(paths) if PurePosixPath(pair[0]).name != PurePosixPath(pair[1]).name]
    refuse_clashes([name for pair in deepest for name in pair], source, "files")


def _chosen(entries: list[Entry], wanted: list[str], selection: Selection) -> Iterator[Entry]:
    """Yield what takes part: of each wanted class in each split its first images; and all that is of no class."""
    groups: dict[tuple[str, str], dict[PurePosixPath, Entry]] = defaultdict(dict)
    for entry in entries:
        groups[entry.split, entry.class_name][entry.target] = entry
    taking = set(wanted)
    for (_, name), group in groups.items():
        if not name:
            yield from group.values()
        elif name in taking:
            yield from (group[path] for path in selection.limited(group))


def _copy(entries: list[Entry], folder: Path) -> None:
    """Copy the files that can be read, and write the table of those that cannot."""
    faults = {entry: entry.fault or _copied(entry.file, folder / entry.target) for entry in entries}
    bad = [{"file": entry.target, "class": entry.class_name, "reason": why} for entry, why in faults.items() if why]
    if bad:
        write_csv(folder / "bad_files.csv", ["file", "class", "reason"], bad)


def _copied(file: Path, copy: Path) -> str:
    """Copy a file; return why it cannot be read, "" where it can."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(file, copy)
    except OSError:
        copy.unlink(missing_ok=True)
        if reason := reading_fault(file):
            return reason
        raise  # the disk is full, say
    return ""
