"""Pictures of your own: a folder or an archive with a folder per class, or with train/ and test/ of such folders.

An archive may lie behind a URL, in a key of its own: DVC watches `path`, and would ask the network at every status.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import AfterValidator, Field

from stages.lib.archives import SUFFIXES, is_archive, unpack
from stages.lib.classes import Selection
from stages.lib.downloads import Checksum, download, file_name, web_address
from stages.lib.params import Section
from stages.lib.problems import Problem

SPLITS = ("train", "test")
MORE_SPLITS = ("test", "val", "valid", "validation")  # what stands beside train/ in other layouts
LEFTOVERS = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what file managers leave between pictures; dot files as well


def _none_or_archive(url: str) -> str:
    if url != "none" and not is_archive(Path(file_name(web_address(url)))):
        raise ValueError(f"must end in {', '.join(SUFFIXES)}")
    return url


class Settings(Section):
    """params.yaml's section `dataset.folder`: with a `url`, its archive is used and `path` is not."""

    path: str = Field(min_length=1)
    url: Annotated[str, AfterValidator(_none_or_archive)] = "none"
    checksum: Checksum = "none"


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Copy the pictures of the chosen classes to folder/<class>/, or folder/train/<class>/ and folder/test/<class>/.

    Raises Problem where the path is missing, no archive that can be read, or a class has no file, and where the URL
    cannot be downloaded.
    """
    source = Path(settings.path)
    if settings.url != "none":
        source = download(settings.url, settings.checksum, "dataset.folder")
    if not source.exists():
        raise Problem(f"params.yaml: dataset.folder.path = {source} does not exist; name a folder or an archive")
    if source.is_dir():
        _copy(_top(source), selection, folder, source)
        return
    if not is_archive(source):
        raise Problem(f"params.yaml: dataset.folder.path = {source} is no folder and no {', '.join(SUFFIXES)} file")
    with TemporaryDirectory(dir=folder, prefix=".unpacked.") as unpacked:
        unpack(source, Path(unpacked), selection.limits)
        _copy(_top(Path(unpacked)), selection, folder, source)


def _top(folder: Path) -> Path:
    """Return the folder that holds the classes: an archive often wraps all it has in one more folder."""
    inside = [entry for entry in folder.iterdir() if not _is_leftover(entry)]
    if len(inside) == 1 and inside[0].is_dir() and _folders(inside[0]):
        return _top(inside[0])
    return folder


def _copy(top: Path, selection: Selection, folder: Path, source: Path) -> None:
    entries = {entry.name for entry in _folders(top)}
    if entries != set(SPLITS) and "train" in entries and not entries.isdisjoint(MORE_SPLITS):
        raise Problem(
            f"{source}: {'/, '.join(sorted(entries))}/ are no split and no classes: have train/ and test/ alone, each"
            " with a folder per class (validation pictures are taken from train/)"
        )
    splits = [top / name for name in SPLITS] if entries == set(SPLITS) else [top]
    names = {split.name: [entry.name for entry in _folders(split)] for split in splits}
    if len(splits) == 2 and (lonely := sorted(set(names["train"]) ^ set(names["test"]))):
        raise Problem(*(f"{source}: class {name!r} is in only one of train/ and test/" for name in lonely))
    try:
        wanted = selection.class_names(names[splits[0].name])
    except Problem as problem:
        raise Problem(*(f"{source}: {line}" for line in problem.lines)) from None
    pairs = [(split, name) for split in splits for name in wanted]
    if empty := [split / name for split, name in pairs if next(_files(split / name), None) is None]:
        raise Problem(*(f"{source}: {path.relative_to(top)}/ holds no picture; fill or remove it" for path in empty))
    for split, name in pairs:
        for file in selection.pictures(_files(split / name)):
            copy = folder / file.relative_to(top)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not _is_leftover(entry))


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files of a class, those in folders within it as well."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not _is_leftover(entry):
            yield from _files(entry)
        elif entry.is_file() and not _is_leftover(entry):
            yield entry


def _is_leftover(entry: Path) -> bool:
    return entry.name.startswith(".") or entry.name in LEFTOVERS
