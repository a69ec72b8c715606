"""Splits: what the source has stays as it is, and the rest is drawn from its training images."""

from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import prepare
from stages.datasets.splits.splitting import SplitSettings, origins, split
from stages.images.raw_folder import LABEL_COLUMNS, LABELS
from stages.images.shards import class_names, read_rows
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv, read_json, write_csv
from tests.conftest import write_images

SETTINGS = SplitSettings(test_fraction=0.3, validation_fraction=0.15, group_by="none")


def raw(folder: Path, **splits: int) -> Path:
    """Write so many images of two classes for each split; a split called `none` is no folder."""
    for part, count in splits.items():
        write_images(folder if part == "none" else folder / part, {"crow": count, "jay": count})
    return folder


def counted(folder: Path) -> dict[tuple[str, str], int]:
    """Return how many files of each folder at the top go to each split."""
    counts: dict[tuple[str, str], int] = {}
    for file in split(folder, SETTINGS, 1):
        key = file.path.relative_to(folder).parts[0], file.split
        counts[key] = counts.get(key, 0) + 1
    return counts


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (
            {"none": 20},
            {("crow", "test"): 6, ("crow", "validation"): 2, ("crow", "original"): 12}
            | {("jay", "test"): 6, ("jay", "validation"): 2, ("jay", "original"): 12},
        ),
        (
            {"train": 20, "test": 4},
            {("test", "test"): 8, ("train", "validation"): 6, ("train", "original"): 34},
        ),
        (
            {"train": 20, "val": 4},
            {("val", "validation"): 8, ("train", "test"): 12, ("train", "original"): 28},
        ),
        (
            {"train": 20, "val": 4, "test": 5},
            {("val", "validation"): 8, ("test", "test"): 10, ("train", "original"): 40},
        ),
        (
            {"train": 1, "val": 1, "test": 1},
            {("val", "validation"): 2, ("test", "test"): 2, ("train", "original"): 2},
        ),
    ],
)  # fmt: skip
def test_what_the_source_has_stays_and_the_rest_comes_from_train(tmp_path, splits, expected):
    """Val is the validation set, test the test set; the fractions hold for what is missing alone."""
    assert counted(raw(tmp_path, **splits)) == expected


def test_a_class_named_train_is_a_class(tmp_path):
    """Beside others that are no splits, or alone with its own like."""
    write_images(tmp_path, {"train": 20, "tram": 20})
    assert {file.class_name for file in split(tmp_path, SETTINGS, 1)} == {"train", "tram"}


@pytest.mark.parametrize(
    ("splits", "needed"), [({"train": 1, "val": 1}, 2), ({"train": 1, "test": 1}, 2), ({"none": 2}, 3)]
)
def test_too_few_to_draw_from_says_how_many_are_needed(tmp_path, splits, needed):
    """One for each split that is drawn; the line names the setting that leaves such classes out."""
    with pytest.raises(UserError) as raised:
        split(raw(tmp_path, **splits), SETTINGS, 1)
    assert len(raised.value.lines) == 2
    for line in raised.value.lines:
        assert f"but needs at least {needed} " in line
        assert line.endswith(f"or leave such classes out (dataset.min_images_per_class: {needed})")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (
            {"none": 3},
            {
                "test": "30 % of each class (prepare.test_fraction)",
                "validation": "15 % of what is left (prepare.validation_fraction)",
                "original": "the rest of each class",
            },
        ),
        (
            {"train": 3, "test": 1},
            {
                "test": "the source's own test images",
                "validation": "15 % of the source's own training images (prepare.validation_fraction)",
                "original": "the rest of the source's own training images",
            },
        ),
        (
            {"train": 3, "val": 1},
            {
                "test": "30 % of the source's own training images (prepare.test_fraction)",
                "validation": "the source's own validation images",
                "original": "the rest of the source's own training images",
            },
        ),
        (
            {"train": 1, "val": 1, "test": 1},
            {
                "test": "the source's own test images",
                "validation": "the source's own validation images",
                "original": "the source's own training images",
            },
        ),
    ],
)
def test_where_each_split_comes_from_is_said(tmp_path, splits, expected):
    """The source's own, or a fraction of what."""
    assert origins(raw(tmp_path, **splits), SETTINGS) == expected


def test_a_split_that_a_table_tells_is_called_so(tmp_path):
    """Its folders are ours, not the source's."""
    raw(tmp_path, train=2, test=1)
    rows = [
        [path.relative_to(tmp_path), path.parts[-2], path.parts[-3], "", ""] for path in sorted(tmp_path.rglob("*.png"))
    ]
    write_csv(tmp_path / LABELS, LABEL_COLUMNS, (dict(zip(LABEL_COLUMNS, row, strict=True)) for row in rows))
    assert origins(tmp_path, SETTINGS)["test"] == "the test images of the source's table"
    assert counted(tmp_path) == {("test", "test"): 2, ("train", "validation"): 2, ("train", "original"): 2}


def test_tables_that_fetch_leaves_are_no_images_and_files_it_could_not_read_are_listed(project):
    """As bad files like any other, at their file in data/raw; those of no class as well."""
    set_params(project, prepare__image_size=32, prepare__on_bad_image="skip")
    write_images(project / "data/raw", {"crow": 9, "jay": 9})
    rows = [
        {"file": "crow/gone.png", "class": "crow", "reason": "a link to x, which does not exist"},
        {"file": "loose.png", "class": "", "reason": "lies in no class's folder"},
    ]
    write_csv("data/raw/bad_files.csv", ["file", "class", "reason"], rows)
    write_csv("data/raw/small_classes.csv", ["class", "images"], [{"class": "rook", "images": 2}])
    prepare.main()
    assert sorted((row["file"], row["reason"]) for row in read_csv("data/skipped.csv")) == [
        ("data/raw/crow/gone.png", "a link to x, which does not exist"),
        ("data/raw/loose.png", "lies in no class's folder"),
    ]
    composition = read_json("data/composition.json")
    assert composition["left_out_classes"] == {"rook": 2}
    assert sum(part["images"] for part in composition["splits"].values()) == 18
    set_params(project, prepare__on_bad_image="error")
    with pytest.raises(UserError) as raised:
        prepare.main()
    assert raised.value.lines[:2] == (
        "data/raw/loose.png: lies in no class's folder",
        "data/raw/crow/gone.png: a link to x, which does not exist",
    )


def test_labels_of_classes_that_are_numbers_follow_their_values(project):
    """Label 1 is class 2, label 2 is class 10: as a person would count."""
    set_params(project, prepare__image_size=32)
    write_images(project / "data/raw", {"10": 3, "2": 3, "1": 3})
    prepare.main()
    assert class_names("data/original") == ["1", "2", "10"]
    assert {row.path.split("/")[0]: row.label for row in read_rows("data/test")} == {"1": 0, "2": 1, "10": 2}
