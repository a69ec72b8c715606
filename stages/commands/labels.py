"""Make a table of all images, the doubtful ones first, in which a person decides on their labels: `make labels`.

In the column decision a person writes keep, `change to` and a class, or remove; a label that is kept is doubted no
more. The table takes effect once it lies in the folder of images and `dataset.folder.labels` names it. Until then DVC,
which watches that folder, sees no change.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.datasets.common.folders import SourceFile, is_image_name, walk_with_errors
from stages.datasets.common.label_tables import CHANGE, KEEP, REMOVE, files_in_table
from stages.datasets.common.layouts import files_in_folders, top_folder
from stages.datasets.folder import Settings
from stages.images.shards import SPLITS, read_rows
from stages.prepare import PrepareSettings
from stages.runtime.command import run_stage
from stages.runtime.config import read_section
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv, write_csv

TABLE = Path("data/decided-labels.csv")
TRAINING = SPLITS["original"]
COLUMNS = ["file", "label", "probability", "likelier", "likelier_probability", "decision", "split", "group"]


def main() -> None:
    """Write the table; say what to do with it."""
    settings = read_section("dataset.folder", Settings)
    folder, doubtful = Path(settings.path), Path("data/doubtful.csv")
    if read_section("dataset.source", str) != "folder" or settings.url != "none" or not folder.is_dir():
        raise UserError("labels can be decided on where images lie in a folder: dataset.source: folder, and its path")
    if not doubtful.is_file():
        raise UserError(f"{doubtful} is missing; `dvc repro` makes it where report.insight is true")
    rows = list(table_rows(folder, settings.labels, read_csv(doubtful)))
    write_csv(TABLE, COLUMNS, rows)
    count = sum(bool(row.get("likelier")) for row in rows)
    print(f"{TABLE}: doubtful labels first ({count}); in its column decision say {KEEP}, {CHANGE}CLASS or {REMOVE}.")
    print(f"Then: mv {TABLE} {shlex.quote(str(folder))}")
    print(f"Set dataset.folder.labels: {TABLE.name} in params.yaml, and run `make`; all images keep their splits.")
    print("Git has no table among images: with them, `make images` gives it to DVC.")
    if read_section("prepare", PrepareSettings).group_by != "none":
        print("Set prepare.group_by: none as well, for the table says which images belong together.")


def table_rows(folder: Path, labels: str, doubtful: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each image of a folder, the doubtful ones first; what the study has left out is to be removed."""
    prepared = {row.path: (split, row.group) for name, split in SPLITS.items() for row in read_rows(f"data/{name}")}
    found = {str(file.target): file for file in source_files(folder, labels)}
    # other groups are of near copies, which prepare finds again
    are_given = read_section("prepare", PrepareSettings).group_by != "none" or any(
        each.group for each in found.values()
    )
    doubts = {row["file"]: row for row in doubtful}
    for target in dict.fromkeys([*doubts, *found]):
        if target not in found:
            raise UserError(f"{folder} has changed since data/doubtful.csv was made: {target} is gone; run `dvc repro`")
        file, doubt = found[target], doubts.get(target, {})
        split, group = prepared.get(target, (TRAINING, ""))
        yield {
            "file": file.path.relative_to(folder).as_posix(),
            "label": file.class_name,
            **{name: doubt.get(name, "") for name in ("probability", "likelier", "likelier_probability")},
            "decision": REMOVE if target not in prepared else KEEP if file.confirmed else "",
            "split": split,
            "group": group if are_given else "",
        }
    known = {file.path for file in found.values()}
    for path, _ in walk_with_errors(folder):
        if is_image_name(path) and path not in known:  # an earlier decision was to remove it
            yield {"file": path.relative_to(folder).as_posix(), "decision": REMOVE, "split": TRAINING}


def source_files(folder: Path, labels: str) -> list[SourceFile]:
    """Return the images of a folder as fetch finds them."""
    if labels != "none":
        return files_in_table(folder, labels, folder)[0]
    return files_in_folders(top_folder(folder), folder)[0]


if __name__ == "__main__":
    run_stage(main)
