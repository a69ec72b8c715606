"""Images of your own: a folder or an archive with a folder per class, with train/ and test/ of such, or with a table.

An archive may lie behind a URL, in a key of its own: DVC watches `path`, and would ask the network at every status.
"""

import difflib
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from stages.datasets.common.archive_names import NameEncoding
from stages.datasets.common.archives import SUFFIXES, DamagedArchive, is_archive, unpacked
from stages.datasets.common.downloads import Checksum, check_url, download, file_name, remove_download
from stages.datasets.common.folders import SourceFile, list_folder, read_error, unwatched
from stages.datasets.common.label_tables import TableName, files_in_table
from stages.datasets.common.layouts import files_in_folders, refuse_clashes, top_folder
from stages.datasets.common.selection import Selection
from stages.images.raw_folder import BAD_FILES, LABEL_COLUMNS, LABELS, TABLES
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.files import missing, write_csv
from stages.runtime.names import case_clashes, has_control_characters, natural_order, number_clashes

TEMPORARY = "/.dvc/tmp/exps/"  # where DVC makes its copies of a study


def _without_tilde(path: str) -> str:
    if path.startswith("~"):
        raise ValueError(f"DVC, which watches this folder, does not know ~; write {Path(path).expanduser()}")
    return path


def _none_or_archive(url: str) -> str:
    if url != "none" and not is_archive(Path(file_name(check_url(url)))):
        raise ValueError(f"must end in {', '.join(SUFFIXES)}")
    return url


class Settings(Section):
    """params.yaml's section `dataset.folder`: with a `url`, its archive is used and `path` is not."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_without_tilde)] = "data/pictures"
    url: Annotated[str, AfterValidator(_none_or_archive)] = "none"
    checksum: Checksum = "none"
    labels: TableName = "none"
    name_encoding: NameEncoding = "detect"


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Copy the images of the chosen classes to folder/<class>/, or folder/train/<class>/ and so on for val and test.

    Beside them, bad_files.csv lists what cannot be read. Where a table has the labels, labels.csv holds them, whatever
    the folders are called.
    Raises UserError where the path is missing, no archive that can be read, or a class has no file, and where the URL
    cannot be downloaded.
    """
    source = Path(settings.path)
    if settings.url != "none":
        source = download(settings.url, settings.checksum, "dataset.folder", selection.limits)
    if not source.exists():
        raise UserError(f"params.yaml: dataset.folder.path = {missing(source, 'name a folder or an archive')}")
    if source.is_dir():
        if line := unwatched(source):
            print(f"warning: {line}", file=sys.stderr)
        _copy_chosen(source, settings, selection, folder, source)
        return
    if not is_archive(source):
        raise UserError(f"params.yaml: dataset.folder.path = {source} is no folder and no {', '.join(SUFFIXES)} file")
    try:
        with unpacked(source, folder, selection.limits, settings.name_encoding) as content:
            _copy_chosen(content, settings, selection, folder, source)
    except DamagedArchive:
        if settings.url != "none" and settings.checksum == "none":
            remove_download(source)  # else it would be taken for what lies behind the URL for ever
        raise


def _copy_chosen(here: Path, settings: Settings, selection: Selection, folder: Path, source: Path) -> None:
    """Copy the chosen images from `here` to `folder`; `source` is how a person knows `here`."""
    if settings.labels == "none":
        files, classes = files_in_folders(top_folder(here), source)
    else:
        files, classes = files_in_table(here, settings.labels, source)
    if not files and TEMPORARY in Path.cwd().as_posix():
        raise UserError(
            f"{source} holds no folder of images in this temporary copy of the study, which `dvc exp run --temp` or"
            " --queue made of what Git and DVC track: give DVC the images (`make images` for data/pictures, else"
            " `dvc add`), commit, and run it again"
        )
    names = natural_order(name for each in classes.values() for name in each)
    if not names and (packed := [path.name for path in list_folder(top_folder(here)) if is_archive(path)]):
        raise UserError(
            f"{source}: holds archives instead of folders, such as {packed[0]}; unpack them, or name that one"
        )
    _check_names(names, files, source)
    wanted = _chosen_classes(files, classes, names, selection, source)
    chosen = list(_chosen_files(files, wanted, selection))
    _copy(chosen, folder)
    if settings.labels != "none":
        write_csv(folder / LABELS, LABEL_COLUMNS, (label_row(file) for file in chosen if file.class_name))


def label_row(file: SourceFile) -> dict[str, object]:
    """Return what data/raw/labels.csv says of a file."""
    confirmed = "yes" if file.confirmed else ""
    return dict(zip(LABEL_COLUMNS, [file.target, file.class_name, file.split, file.group, confirmed], strict=True))


def _chosen_classes(
    files: list[SourceFile], classes: dict[str, list[str]], names: list[str], selection: Selection, source: Path
) -> list[str]:
    """Return the classes that take part, of the `classes` of each split; `names` are all of them, in order."""
    if not selection.min_images_per_class:
        _refuse_missing(classes, names, source)
    counts = Counter((file.split, file.class_name) for file in files)
    first = next(iter(classes), "")  # train, where there are splits
    sizes = {name: counts[first, name] if all(counts[split, name] for split in classes) else 0 for name in names}
    try:
        wanted = selection.class_names(sizes)
    except UserError as problem:
        raise UserError(*(f"{source}: {line}" for line in problem.lines)) from None
    if empty := [PurePosixPath(split, name) for split in classes for name in wanted if not counts[split, name]]:
        raise UserError(*(f"{source}: {path}/ holds no image; fill or remove it" for path in empty))
    return wanted


def _refuse_missing(classes: dict[str, list[str]], names: list[str], source: Path) -> None:
    """Raise UserError for each class that some splits have and others lack."""
    lines = []
    for name in names:
        there = " and ".join(f"{split}/" for split, some in classes.items() if name in some)
        if absent := " and ".join(f"{split}/" for split, some in classes.items() if name not in some):
            close = difflib.get_close_matches(name, [other for other in names if other != name], n=1)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            lines.append(
                f"{source}: class {name!r} is in {there} but not in {absent}{meant}; complete or remove it, or set"
                " dataset.min_images_per_class: 1"
            )
    if lines:
        raise UserError(*lines)


def _check_names(names: list[str], files: list[SourceFile], source: Path) -> None:
    """Raise UserError for names that another system, Parquet, CSV or a terminal cannot hold, or holds for others."""
    refuse_clashes(names, source, "classes")
    if pairs := number_clashes(names):
        raise UserError(
            *(
                f"{source}: classes {one!r} and {other!r} are one number; merge them (spreadsheets drop zeros in"
                " front), or call them otherwise"
                for one, other in pairs
            )
        )
    targets = [str(file.target) for file in files]
    if odd := [name for name in targets if any("\udc80" <= each <= "\udcff" for each in name)]:  # of old archives
        raise UserError(
            *(f"{source}: {name!r} is no name in UTF-8; rename it (convmv renames whole folders)" for name in odd)
        )
    if odd := [name for name in names if has_control_characters(name)]:
        raise UserError(*(f"{source}: class {name!r} has a control character in its name; rename it" for name in odd))
    paths = [str(part) for file in files for part in (file.target, *file.target.parents)]
    deepest = [pair for pair in case_clashes(paths) if PurePosixPath(pair[0]).name != PurePosixPath(pair[1]).name]
    refuse_clashes([name for pair in deepest for name in pair], source, "files")


def _chosen_files(files: list[SourceFile], wanted: list[str], selection: Selection) -> Iterator[SourceFile]:
    """Yield what takes part: of each wanted class in each split its first images; and all that is of no class."""
    groups: dict[tuple[str, str], dict[PurePosixPath, SourceFile]] = defaultdict(dict)
    for file in files:
        groups[file.split, file.class_name][file.target] = file
    for (_, name), group in groups.items():
        if not name:
            yield from group.values()
        elif name in wanted:
            yield from (group[path] for path in selection.first_images(group))


def _copy(files: list[SourceFile], folder: Path) -> None:
    """Copy the files that can be read, and write the table of those that cannot."""
    errors = {file: file.error or _taken(file) or _copy_file(file.path, folder / file.target) for file in files}
    bad = [{"file": file.target, "class": file.class_name, "reason": why} for file, why in errors.items() if why]
    if bad:
        write_csv(folder / BAD_FILES, ["file", "class", "reason"], bad)


def _taken(file: SourceFile) -> str:
    return "has the name of a table of this project; call it otherwise" if str(file.target) in TABLES else ""


def _copy_file(file: Path, copy: Path) -> str:
    """Copy a file; return why it cannot be read, "" where it can."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(file, copy)
    except OSError:
        copy.unlink(missing_ok=True)
        if reason := read_error(file):
            return reason
        raise  # the disk is full, say
    return ""
