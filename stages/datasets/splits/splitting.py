"""Which images are trained on, which choose the best epoch, and which are the test."""

from collections import defaultdict
from pathlib import Path

from pydantic import Field

from stages.datasets.splits.duplicates import SplitFile
from stages.datasets.splits.groups import GroupBy, Member, group_names, keep_apart, split_by_group
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv
from stages.runtime.seeding import derived_seed

# Folders below data/; `original` is what networks train on. The test set comes first: of two images that are alike,
# the later is the copy
SPLITS = ("test", "validation", "original")
OWN = {"train": "original", "val": "validation", "test": "test"}  # by what the source's own splits are called
TAKEN = ("val", "test")  # of these, all that the source has stay as they are


class Splitting(Section):
    """What params.yaml's section `prepare` says of the splits."""

    validation_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    group_by: GroupBy


def split(raw: Path, settings: Splitting, seed: int) -> list[SplitFile]:
    """Return where each file below `raw` goes, split by split and class by class.

    Files keep the source's own train/, val/ and test/ where it has them; where it has no test/, each class gives
    `test_fraction`. Then, where it has no val/, `validation_fraction` of each class's training files become validation.
    Which ones depends on the seed and each file's name, not on the order of files. Files that fetch could not read
    count like any other. Raises UserError where a class is too small for that.
    """
    own = official_splits(raw)
    files = _files_by_class(raw, own)
    if settings.group_by != "none" or any(row["group"] for row in table_of(raw, "labels")):
        return _split_by_group(raw, files, settings, seed)
    split_files = [
        SplitFile(file, name, OWN[part]) for (part, name), each in files.items() if part in TAKEN for file in each
    ]
    problems = []
    for (part, name), each in files.items():
        if part in TAKEN:
            continue
        shuffled = sorted(each, key=lambda file: derived_seed(seed, "split", file.relative_to(raw).as_posix()))
        test_count = 0 if "test" in own else _share(len(each), settings.test_fraction)
        validation_count = 0 if "val" in own else _share(len(each) - test_count, settings.validation_fraction)
        counts = {"test": test_count, "validation": validation_count}
        if test_count + validation_count >= len(each):
            problems.append(_too_few(name, len(each), settings, own))
        names = [drawn for drawn, count in counts.items() for _ in range(count)]
        names += ["original"] * (len(each) - len(names))
        split_files += [SplitFile(file, name, drawn) for file, drawn in zip(shuffled, names, strict=False)]
    if problems:
        raise UserError(*problems)
    return sorted(split_files, key=lambda split_file: SPLITS.index(split_file.split))


def _split_by_group(
    raw: Path, files: dict[tuple[str, str], list[Path]], settings: Splitting, seed: int
) -> list[SplitFile]:
    """Return where each file goes, a group's files together."""
    own = official_splits(raw)
    members = {
        Member(file.relative_to(raw / part).as_posix(), name, file): part
        for (part, name), each in files.items()
        for file in each
    }
    of_table = {raw / row["file"]: row["group"] for row in table_of(raw, "labels") if row["group"]}
    groups = group_names(list(members), settings.group_by, of_table)
    parts = {member.file: OWN[part] for member, part in members.items() if part in TAKEN}
    test = 0 if "test" in own else settings.test_fraction
    validation = 0 if "val" in own else (1 - test) * settings.validation_fraction
    fractions = {"test": test, "validation": validation, "original": 1 - test - validation}
    wanted = {part: fraction for part, fraction in fractions.items() if fraction}
    drawn = {member: groups[member] for member in members if member.file not in parts}
    parts |= {member.file: part for member, part in split_by_group(drawn, wanted, seed).items()}
    keep_apart(groups, parts)
    split_files = [SplitFile(member.file, member.class_name, parts[member.file]) for member in members]
    return sorted(split_files, key=lambda split_file: SPLITS.index(split_file.split))


def official_splits(raw: Path) -> set[str]:
    """Return which of train, val and test the source has; none where `raw` holds a folder per class."""
    names = {entry.name for entry in raw.iterdir() if entry.is_dir()}
    return names if "train" in names and len(names) > 1 and names <= set(OWN) else set()


def origins(raw: Path, settings: Splitting) -> dict[str, str]:
    """Return where the images of each split come from, in words."""
    own, kept = official_splits(raw), "the source's own {}/"
    if any(row["split"] for row in table_of(raw, "labels")):
        kept = "what the source's table calls {}"
    source = kept.format("train") if own else "each class"
    if settings.group_by != "none":
        source += ", by groups"
    found = {OWN[name]: kept.format(name) for name in own}
    found.setdefault("test", f"{100 * settings.test_fraction:.3g} % of {source} (prepare.test_fraction)")
    rest = source if "test" in own else "what is left"
    found.setdefault(
        "validation", f"{100 * settings.validation_fraction:.3g} % of {rest} (prepare.validation_fraction)"
    )
    if own != set(OWN):
        found["original"] = f"the rest of {source}"
    return found


def table_of(raw: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a table that fetch left beside the images; none where it left none.

    labels: each file's split and group, where the source has a table that tells them. bad_files: each one's reason and
    class, "" where it has none. small_classes: each one's class and number of images. Files are named from `raw` on.
    """
    table = raw / f"{name}.csv"
    return read_csv(table) if table.exists() else []


def _too_few(name: str, count: int, settings: Splitting, own: set[str]) -> str:
    needed = 3 - len(own & set(TAKEN))
    reason = f"but needs at least {needed} {'training images' if own else 'images'}"
    if count >= needed:
        reason = "and the test's and validation's shares leave none to train on"
    return (
        f"data/raw: class {name!r} has {count}, {reason} (params.yaml: prepare.test_fraction ="
        f" {settings.test_fraction}, validation_fraction = {settings.validation_fraction}); add images, set smaller"
        f" fractions, or leave such classes out (dataset.min_images_per_class: {needed})"
    )


def _files_by_class(raw: Path, own: set[str]) -> dict[tuple[str, str], list[Path]]:
    """Return the files of each class of each of the source's own splits, or of "" where it has none, in order."""
    bad = {raw / row["file"] for row in table_of(raw, "bad_files") if row["class"]}
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file in sorted({file for file in raw.glob("*/**/*") if file.is_file()} | bad):
        part, *others = file.relative_to(raw).parts
        found[(part, others[0]) if own else ("", part)].append(file)
    return found


def _share(count: int, fraction: float) -> int:
    return max(1, round(count * fraction))
