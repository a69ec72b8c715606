"""What fetch leaves in data/raw: images in folders, and tables that say what folders do not."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from stages.runtime.files import read_csv

# on top, where the source has splits of its own: the folders of shards that their images go to
SPLIT_FOLDERS = {"train": "original", "val": "validation", "test": "test"}
LABELS, BAD_FILES, SMALL_CLASSES = "labels.csv", "bad_files.csv", "small_classes.csv"
TABLES = (LABELS, BAD_FILES, SMALL_CLASSES)
LABEL_COLUMNS = ["file", "class", "split", "group", "confirmed"]

FilesByClass = Mapping[tuple[str, str], list[Path]]  # by the source's own split, or "", and class


def fetch_table(raw: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of one of `TABLES`; none where fetch left none. Files are named from `raw` on.

    labels.csv: each file's class, split and group, where the source has a table that tells them, and yes where a person
    has confirmed the class. bad_files.csv: each one's reason and class, "" where it has none. small_classes.csv: each
    one's class and number of images.
    """
    table = raw / name
    return read_csv(table) if table.exists() else []


def official_splits(raw: Path) -> set[str]:
    """Return which of train, val and test the source has; none where it leaves the split to prepare."""
    if labels := fetch_table(raw, LABELS):
        return {row["split"] for row in labels} - {""}
    names = {entry.name for entry in raw.iterdir() if entry.is_dir()}
    return names if "train" in names and len(names) > 1 and names <= SPLIT_FOLDERS.keys() else set()


def files_by_class(raw: Path) -> FilesByClass:
    """Return the files of each class, in order: by the labels.csv of the source or, without one, by their folders.

    Files of a class that fetch could not read are among them.
    """
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    if labels := fetch_table(raw, LABELS):
        for row in sorted(labels, key=lambda row: raw / row["file"]):
            found[row["split"], row["class"]].append(raw / row["file"])
        return found
    has_splits = bool(official_splits(raw))
    bad = {raw / row["file"] for row in fetch_table(raw, BAD_FILES) if row["class"]}
    for file in sorted({file for file in raw.glob("*/**/*") if file.is_file()} | bad):
        top, below, *_ = (*file.relative_to(raw).parts, "")
        found[(top, below) if has_splits else ("", top)].append(file)
    return found
