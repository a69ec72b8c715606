"""Recognise how a person's folders are laid out: a folder per class, or train/, val/ and test/ of such folders."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stages.datasets.common.folders import Entry, fault, files, folders, inside, is_image_name
from stages.runtime.errors import UserError
from stages.runtime.names import case_clashes, folded, spelled

WORDS = {  # how people call what this project calls train, val and test
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
LAYOUTS = "expected a folder per class, or train/ beside test/, val/ or both, with a folder per class in each"


def split_named(name: str) -> str:
    """Return the split that a word stands for, whatever its case: train, val or test; "" where it stands for none."""
    return next((split for split, words in WORDS.items() if name.strip().casefold() in words), "")


def top_of(folder: Path) -> Path:
    """Return the folder that holds the classes: an archive often wraps all it has in one more folder."""
    entries = inside(folder)
    below = [entry for entry in entries if entry.is_dir()]
    # an image beside it, or what cannot be read, must not get lost; a note may
    alone = len(below) == 1 and not any(is_image_name(entry) or fault(entry) for entry in entries)
    return top_of(below[0]) if alone and folders(below[0]) else folder


def entries_in_folders(top: Path, source: Path) -> tuple[list[Entry], dict[str, list[str]]]:
    """Return all files of all classes and images that lie in none, and the names of the classes of each split.

    Raises UserError where the layout is none that is known, with what to do; `source` is how a person knows the folder.
    """
    roots = _roots(top, source)
    for root in roots.values():
        _refuse_hidden_splits(root, source)
    found = [] if "" in roots else list(_loose(top, ""))
    for split, root in roots.items():
        found += _loose(root, split)
        for folder in folders(root):
            pairs = ((file, PurePosixPath(file.relative_to(folder)), why) for file, why in files(folder))
            found += [Entry(file, split, folder.name, within, fault=why) for file, within, why in pairs]
    return found, {split: [folder.name for folder in folders(root)] for split, root in roots.items()}


def _loose(folder: Path, split: str) -> Iterator[Entry]:
    """Yield what lies beside the folders of classes and is an image, or might have been a class."""
    for entry in inside(folder):
        reason = fault(entry)
        if reason or (is_image_name(entry) and not entry.is_dir()):
            yield Entry(entry, split, within=PurePosixPath(entry.name), fault=reason or "lies in no class's folder")


def refuse_clashes(names: list[str], source: Path, what: str) -> None:
    """Raise UserError with both of each two names that macOS or Windows hold for one."""
    if pairs := case_clashes(names):
        raise UserError(
            *(
                f"{source}: {what} {spelled(one, other)} and {spelled(other, one)} are one where case or how"
                " accents are composed does not count; rename or merge them"
                for one, other in pairs
            )
        )


def _roots(top: Path, source: Path) -> dict[str, Path]:
    """Return the folder that holds the classes of each split; of "" where the source has no split."""
    below = folders(top)
    splits: dict[str, list[Path]] = defaultdict(list)
    for folder in below:
        splits[split_named(folder.name)].append(folder)
    others = splits.pop("", [])
    if len(below) < 2 or not splits or (others and not ("train" in splits and len(splits) > 1)):
        return {"": top}
    names = "/, ".join(folder.name for folder in below)
    if others:
        raise UserError(f"{source}: {names}/ are no split and no classes: {LAYOUTS}; move or rename the others")
    if twice := [each for each in splits.values() if len(each) > 1]:
        told = "; ".join("/ and ".join(folder.name for folder in each) + "/" for each in twice)
        raise UserError(f"{source}: {told} are the same split; merge them")
    if "train" not in splits:
        raise UserError(f"{source}: {names}/ have no train/ beside them: {LAYOUTS}")
    return {split: splits[split][0] for split in WORDS if split in splits}


def _refuse_hidden_splits(root: Path, source: Path) -> None:
    """Raise UserError where all folders hold folders of the same names and no image: either could be the classes."""
    below = folders(root)
    contents = [folders(folder) for folder in below]
    if len(below) < 2 or any(is_image_name(entry) for folder in below for entry in inside(folder)):
        return
    names = {frozenset(folded(entry.name) for entry in content) for content in contents}
    if len(names) > 1 or len(contents[0]) < 2:
        return
    tops, within = ("/, ".join(path.name for path in paths[:4]) for paths in (below, contents[0]))
    more = ", ..." if len(below) > 4 else ""
    advice = "call them train/, val/ and test/ if they are splits; if they are classes, have no such folders in them"
    if all(split_named(entry.name) for entry in contents[0]):
        advice = "have these on top, with a folder per class in each"
    raise UserError(f"{source}: {tops}/{more} hold folders of the same names and no image, {within}/: {advice}")
