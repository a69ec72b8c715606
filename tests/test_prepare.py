"""Stage prepare: every picture once, in one split, at one size; bad ones are named together."""

import csv
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages import prepare
from stages.lib.pictures import decode
from stages.lib.problems import Problem
from stages.lib.shards import class_names, read_rows
from tests.conftest import set_params, write_pictures

SPLITS = ("original", "validation", "test")


@pytest.fixture
def raw(project):
    """Two classes of ten pictures in data/raw."""
    set_params(project, prepare__image_size=32)
    return write_pictures(project / "data/raw", {"crow": 10, "jay": 10})


def paths(split: str) -> list[str]:
    return [row.path for row in read_rows(f"data/{split}")]


def prepared() -> dict[str, list[str]]:
    prepare.main()
    return {split: sorted(paths(split)) for split in SPLITS}


def refused(project) -> tuple[str, ...]:
    with pytest.raises(Problem) as raised:
        prepare.main()
    assert [path.name for path in project.glob("data/*")] == ["raw"]
    return raised.value.lines


def test_every_picture_is_in_one_split(raw):
    """Three of ten for the test, one of the rest for validation, in each class."""
    splits = prepared()
    assert sorted(chain(*splits.values())) == sorted(f.relative_to(raw).as_posix() for f in raw.rglob("*.png"))
    for name in ("crow", "jay"):
        counts = [sum(path.startswith(name) for path in splits[split]) for split in SPLITS]
        assert counts == [6, 1, 3]


def test_pictures_are_resized_and_labelled_in_name_order(raw):
    """Squares of image_size; the label is the class's place in the alphabet."""
    prepare.main()
    assert class_names("data/test") == ["crow", "jay"]
    for row in read_rows("data/test"):
        assert decode(row.encoded).shape == (32, 32, 3)
        assert row.label == ["crow", "jay"].index(row.path.split("/")[0])


def test_the_split_depends_on_names_and_seed_alone(raw, project):
    """A new picture moves no other between training and test but at the margin; another seed moves many."""
    before = prepared()
    assert prepared() == before
    Image.new("RGB", (40, 30)).save(raw / "crow/zzz.png")
    after = prepared()
    assert len(set(before["test"]) - set(after["test"])) <= 1
    assert [path for path in after["test"] if path.startswith("jay")] == [
        path for path in before["test"] if path.startswith("jay")
    ]
    set_params(project, seed=2)
    assert prepared()["test"] != after["test"]


def test_an_official_test_set_stays_as_published(project):
    """Validation is carved from train/ alone."""
    set_params(project, prepare__image_size=32)
    for part, count in (("train", 10), ("test", 4)):
        write_pictures(project / "data/raw" / part, {"crow": count, "jay": count})
    splits = prepared()
    assert splits["test"] == [f"test/{name}/00{number}.png" for name in ("crow", "jay") for number in range(4)]
    assert [len(splits[split]) for split in SPLITS] == [16, 4, 8]
    assert all(path.startswith("train/") for path in splits["validation"])


def test_two_workers_write_the_bytes_of_one(raw, monkeypatch):
    """Cores change the time, never the result."""
    files = {}
    for workers in ("1", "2"):
        monkeypatch.setenv("STUDY_WORKERS", workers)
        prepare.main()
        files[workers] = [Path(f"data/{split}/00000.parquet").read_bytes() for split in SPLITS]
    assert files["1"] == files["2"]


def test_classes_too_small_to_split_are_all_named(project):
    """One line each, with the settings that ask for more."""
    write_pictures(project / "data/raw", {"crow": 2, "jay": 10, "rook": 1})
    lines = refused(project)
    assert [line.split(" (")[0] for line in lines] == [
        "data/raw: class 'crow' has 2, but needs at least 3 pictures",
        "data/raw: class 'rook' has 1, but needs at least 3 pictures",
    ]
    assert "prepare.test_fraction = 0.3" in lines[0]


def test_every_bad_file_is_named_at_once(raw, project):
    """With its reason, and what can be done about it."""
    (raw / "crow/000.png").write_bytes(b"")
    (raw / "jay/notes.txt").write_text("not a picture")
    lines = refused(project)
    assert lines == (
        "data/raw/crow/000.png: the file is empty",
        "data/raw/jay/notes.txt: not a picture, or of a format that cannot be read",
        "mend or remove these files at their source, or set prepare.on_bad_image: skip",
    )


def test_bad_files_can_be_skipped_and_are_listed(raw, project):
    """The list lies beside the shards; the other pictures are all there."""
    (raw / "crow/000.png").write_bytes(b"")
    set_params(project, prepare__on_bad_image="skip")
    splits = prepared()
    assert len(list(chain(*splits.values()))) == 19
    with Path("data/skipped.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"file": "data/raw/crow/000.png", "reason": "the file is empty"}]


def test_a_class_that_skipping_empties_is_an_error(raw, project):
    """No network can learn a class without pictures."""
    for file in (raw / "jay").iterdir():
        file.write_bytes(b"")
    set_params(project, prepare__on_bad_image="skip")
    lines = refused(project)
    assert set(lines[:-1]) == {
        f"data/raw: class 'jay' has no {split} picture left after skipping bad files" for split in SPLITS
    }


@pytest.mark.parametrize(
    ("setting", "value"), [("image_size", 8), ("test_fraction", 1.5), ("jpeg_quality", "best"), ("on_bad_image", "fix")]
)
def test_settings_out_of_range_are_refused(raw, project, setting, value):
    """The key and the value are in the line."""
    set_params(project, **{f"prepare__{setting}": value})
    (line,) = refused(project)
    assert f"prepare.{setting} = {value!r} is not allowed" in line


def test_pixels_survive(project):
    """A picture of the right size comes out as it went in, but for what JPEG takes."""
    set_params(project, prepare__image_size=32)
    gradient = np.dstack([np.tile(np.arange(32, dtype=np.uint8) * 7, (32, 1))] * 3)
    for name in ("crow", "jay"):
        (project / "data/raw" / name).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.roll(gradient, number, axis=1)).save(project / f"data/raw/{name}/{number}.png")
    prepare.main()
    (row,) = [row for row in read_rows("data/test") if row.path.startswith("crow")]
    number = int(Path(row.path).stem)
    assert np.abs(decode(row.encoded).astype(int) - np.roll(gradient, number, axis=1)).max() <= 8
