"""Recognise how a person's folders are laid out: a folder per class, or train/, val/ and test/ of such folders."""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path, PurePosixPath

from stages.datasets.common.folders import (
    SourceFile,
    access_error,
    is_image_name,
    list_folder,
    subfolders,
    walk_with_errors,
)
from stages.runtime.errors import UserError
from stages.runtime.names import case_clashes, distinguishable, folded

SPLIT_WORDS = {  # how people call what this project calls train, val and test
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
LAYOUTS = "expected a folder per class, or train/ beside test/, val/ or both, with a folder per class in each"


def split_named(name: str) -> str:
    """Return the split that a word stands for, whatever its case: train, val or test; "" where it stands for none."""
    return next((split for split, words in SPLIT_WORDS.items() if name.strip().casefold() in words), "")


def top_folder(folder: Path) -> Path:
    """Return the folder that holds the classes: an archive often wraps all it has in one more folder."""
    while True:
        content = list_folder(folder)
        folders = [path for path in content if path.is_dir()]
        # an image beside it, or what cannot be read, must not get lost; a note may
        if len(folders) != 1 or any(is_image_name(path) or access_error(path) for path in content):
            return folder
        if not subfolders(folders[0]):
            return folder
        folder = folders[0]


def files_in_folders(top: Path, source: Path) -> tuple[list[SourceFile], dict[str, list[str]]]:
    """Return all files of all classes and images that lie in none, and the names of the classes of each split.

    Raises UserError where the layout is none that is known, with what to do; `source` is how a person knows the folder.
    """
    splits = _split_folders(top, source)
    found = [] if "" in splits else list(_outside_classes(top, ""))
    for split, folder in splits.items():
        _refuse_hidden_splits(folder, source)
        found += _outside_classes(folder, split)
        for of_class in subfolders(folder):
            for path, error in walk_with_errors(of_class):
                target = PurePosixPath(split, of_class.name, path.relative_to(of_class))
                found.append(SourceFile(path, target, split, of_class.name, error=error))
    return found, {split: [of_class.name for of_class in subfolders(folder)] for split, folder in splits.items()}


def _outside_classes(folder: Path, split: str) -> Iterator[SourceFile]:
    """Yield what lies beside the folders of classes and is an image, or might have been a class."""
    for path in list_folder(folder):
        error = access_error(path)
        if error or (is_image_name(path) and not path.is_dir()):
            yield SourceFile(path, PurePosixPath(split, path.name), split, error=error or "lies in no class's folder")


def refuse_clashes(names: list[str], source: Path, what: str) -> None:
    """Raise UserError with both of each two names that macOS or Windows hold for one."""
    if pairs := case_clashes(names):
        raise UserError(
            *(
                f"{source}: {what} {distinguishable(one, other)} and {distinguishable(other, one)} are one where case"
                " or how accents are composed does not count; rename or merge them"
                for one, other in pairs
            )
        )


def _split_folders(top: Path, source: Path) -> dict[str, Path]:
    """Return the folder that holds the classes of each split; of "" where the source has no split."""
    folders = subfolders(top)
    splits = _by_split(folders)
    others = splits.pop("", [])
    if len(folders) < 2 or not splits or (others and not ("train" in splits and len(splits) > 1)):
        return {"": top}
    names = _listed(folders)
    if others:
        raise UserError(f"{source}: {names} are no split and no classes: {LAYOUTS}; move or rename the others")
    if several := [same for same in splits.values() if len(same) > 1]:
        listed = "; ".join(" and ".join(f"{folder.name}/" for folder in same) for same in several)
        raise UserError(f"{source}: {listed} are the same split; merge them")
    if "train" not in splits:
        raise UserError(f"{source}: {names} have no train/ beside them: {LAYOUTS}")
    if unlabelled := [folder for folder in folders if not subfolders(folder)]:
        raise UserError(
            f"{source}: {_listed(unlabelled)} of {names} holds no folder per class, so nothing says what its images"
            " show; move it elsewhere (`classify` answers images without labels)"
        )
    return {split: splits[split][0] for split in SPLIT_WORDS if split in splits}


def _by_split(folders: list[Path]) -> dict[str, list[Path]]:
    """Return which folders are called as each split; of "" those that are called as none.

    Names may hold more than the word, as train_images/ and Test Set/, where the one for training holds folders.
    """
    exact, loose = (defaultdict(list) for _ in range(2))
    for folder in folders:
        exact[split_named(folder.name)].append(folder)
        words = {split_named(word) for word in re.split(r"[\W_]+", folder.name)} - {""}
        loose[words.pop() if len(words) == 1 else ""].append(folder)
    holds_classes = any(subfolders(folder) and not _has_images(folder) for folder in loose["train"])
    return loose if holds_classes and len(loose.keys() - {""}) > 1 else exact


def _refuse_hidden_splits(top: Path, source: Path) -> None:
    """Raise UserError where folders without images hold folders of the same names: either could be the classes."""
    inner = {folder: subfolders(folder) for folder in subfolders(top) if not _has_images(folder)}
    names = {folder: {folded(path.name) for path in paths} for folder, paths in inner.items()}
    twins = {
        folder: None
        for pair in combinations(list(inner)[:100], 2)
        if len(shared := names[pair[0]] & names[pair[1]]) > 1
        and 2 * len(shared) >= max(len(names[folder]) for folder in pair)
        for folder in pair
    }
    if not twins:
        return
    first = next(iter(twins))
    advice = (
        "call them train/, val/ and test/ if they are splits; if they are classes, have no such folders in them, or"
        " name all images in a table, whose column group may keep a folder's together (dataset.folder.labels)"
    )
    if all(split_named(path.name) for path in inner[first]):
        advice = "have these on top, with a folder per class in each"
    raise UserError(
        f"{source}: {_listed(list(twins))} hold folders of the same names and no image, {_listed(inner[first])}:"
        f" {advice}"
    )


def _has_images(folder: Path) -> bool:
    return any(is_image_name(path) for path in list_folder(folder))


def _listed(folders: list[Path]) -> str:
    return "/, ".join(folder.name for folder in folders[:4]) + ("/, ..." if len(folders) > 4 else "/")
