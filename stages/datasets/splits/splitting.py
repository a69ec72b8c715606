"""Which images are trained on, which choose the best epoch, and which are the test."""

from pathlib import Path, PurePath
from typing import NamedTuple

from pydantic import Field

from stages.datasets.splits.groups import GroupBy, Member, check_groups, group_names, split_by_group
from stages.images.raw_folder import LABELS, SPLIT_FOLDERS, FilesByClass, fetch_table, files_by_class, official_splits
from stages.images.shards import SPLITS
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.seeding import derived_seed

TEST_FIRST = tuple(reversed(SPLITS))  # of two images that are alike, the later is the copy
FIXED = ("val", "test")  # of these, all that the source has stay as they are


class SplitSettings(Section):
    """What params.yaml's section `prepare` says of the splits."""

    validation_fraction: float = Field(default=0.15, gt=0, lt=1)
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    group_by: GroupBy = "none"


class ImageFile(NamedTuple):
    """A file in data/raw: its class, the split that its image goes to, and its group, "" where it has none."""

    path: Path
    class_name: str
    split: str
    group: str = ""

    @property
    def stratum(self) -> tuple[str, str]:
        """Class and split."""
        return self.class_name, self.split


def split(raw: Path, settings: SplitSettings, seed: int) -> list[ImageFile]:
    """Return where each file below `raw` goes, split by split and class by class.

    Files keep the source's own train/, val/ and test/ where it has them; where it has no test/, each class gives
    `test_fraction`. Then, where it has no val/, `validation_fraction` of each class's training files become validation.
    Which ones depends on the seed and each file's name, not on the order of files. Files that fetch could not read
    count like any other. Raises UserError where a class is too small for that.
    """
    files = files_by_class(raw)
    by_group = settings.group_by != "none" or any(row["group"] for row in fetch_table(raw, LABELS))
    found = (_split_by_group if by_group else _split_by_class)(raw, files, settings, seed)
    return sorted(found, key=lambda file: TEST_FIRST.index(file.split))


def _split_by_class(raw: Path, files: FilesByClass, settings: SplitSettings, seed: int) -> list[ImageFile]:
    official, found, problems = official_splits(raw), [], []
    for (own, name), paths in files.items():
        # in one order whether the source fixes the split or not: a table of the same splits gives the same bytes
        shuffled = sorted(paths, key=lambda path: derived_seed(seed, "split", path.relative_to(raw).as_posix()))
        if own in FIXED:
            found += [ImageFile(path, name, SPLIT_FOLDERS[own]) for path in shuffled]
            continue
        test = 0 if "test" in official else _share(len(paths), settings.test_fraction)
        validation = 0 if "val" in official else _share(len(paths) - test, settings.validation_fraction)
        if test + validation >= len(paths):
            problems.append(_too_few(name, len(paths), settings, official))
        for number, path in enumerate(shuffled):
            drawn = "test" if number < test else "validation" if number < test + validation else "original"
            found.append(ImageFile(path, name, drawn))
    if problems:
        raise UserError(*problems)
    return found


def _split_by_group(raw: Path, files: FilesByClass, settings: SplitSettings, seed: int) -> list[ImageFile]:
    """Return where each file goes, a group's files together."""
    official = official_splits(raw)
    members = {
        Member(_below_class(path.relative_to(raw), own, name), name, path): own
        for (own, name), paths in files.items()
        for path in paths
    }
    of_table = {raw / row["file"]: row["group"] for row in fetch_table(raw, LABELS)}
    groups = group_names(list(members), settings.group_by, of_table)
    splits = {member: SPLIT_FOLDERS[own] for member, own in members.items() if own in FIXED}
    test = 0 if "test" in official else settings.test_fraction
    validation = 0 if "val" in official else (1 - test) * settings.validation_fraction
    fractions = {"test": test, "validation": validation, "original": 1 - test - validation}
    wanted = {name: fraction for name, fraction in fractions.items() if fraction}
    splits |= split_by_group({each: groups[each] for each in members if each not in splits}, wanted, seed)
    check_groups(groups, splits)
    return [ImageFile(each.file, each.class_name, splits[each], groups[each]) for each in members]


def origins(raw: Path, settings: SplitSettings) -> dict[str, str]:
    """Return where the images of each split come from, in words."""
    official, own = official_splits(raw), "the source's own {} images"
    if any(row["split"] for row in fetch_table(raw, LABELS)):
        own = "the {} images of the source's table"
    source = own.format("training") if official else "each class"
    if settings.group_by != "none":
        source += ", by groups"
    rest = source if "test" in official else "what is left"
    drawn = {
        "test": f"{100 * settings.test_fraction:.3g} % of {source} (prepare.test_fraction)",
        "validation": f"{100 * settings.validation_fraction:.3g} % of {rest} (prepare.validation_fraction)",
        "original": f"the rest of {source}",
    }
    fixed = official if len(official) == len(SPLIT_FOLDERS) else official & set(FIXED)
    return drawn | {SPLIT_FOLDERS[name]: own.format(SPLITS[SPLIT_FOLDERS[name]]) for name in fixed}


def _below_class(path: PurePath, own: str, name: str) -> str:
    """Return the name of a class and the path without the folders of its split and of the class, where it has such."""
    parts = list(path.parts)
    for folder in (own, name):
        if parts[0] == folder and len(parts) > 1:
            del parts[0]
    return "/".join([name, *parts])


def _too_few(name: str, count: int, settings: SplitSettings, official: set[str]) -> str:
    needed = 3 - len(official & set(FIXED))
    reason = f"but needs at least {needed} {'training images' if official else 'images'}"
    if count >= needed:
        reason = "and the test's and validation's shares leave none to train on"
    return (
        f"data/raw: class {name!r} has {count}, {reason} (params.yaml: prepare.test_fraction ="
        f" {settings.test_fraction}, validation_fraction = {settings.validation_fraction}); add images, set smaller"
        f" fractions, or leave such classes out (dataset.min_images_per_class: {needed})"
    )


def _share(count: int, fraction: float) -> int:
    return max(1, round(count * fraction))
