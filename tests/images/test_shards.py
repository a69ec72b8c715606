"""Shards keep images, labels and drawn values, in order and byte for byte, and others read them as well."""

import io
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from stages.images import shards
from stages.images.reading import encode
from stages.images.shards import Row, ShardWriter, class_names, read_rows, row_count
from stages.runtime.errors import UserError

NAMES = ["blåmes", "raven", "red kite"]
ROWS = [Row(bytes([number]) * 100, f"raven/ü {number}.jpg", number % 3) for number in range(25)]


def written(folder, rows, transforms=()):
    """Write rows as shards and return the folder."""
    with ShardWriter(folder, NAMES, transforms) as writer:
        for row in rows:
            writer.add(row)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def small(monkeypatch):
    """Row groups of 3 images and shards of 2 row groups, so that 25 images fill several."""
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 300)
    monkeypatch.setattr(shards, "SHARD_BYTES", 600)


def test_rows_come_back_as_they_were_written(tmp_path):
    """Bytes, paths, labels and their order survive, and so do the names of the classes."""
    folder = written(tmp_path / "deep" / "out", ROWS)
    assert list(read_rows(folder)) == ROWS
    assert list(contents(folder)) == ["00000.parquet"]
    assert row_count(folder) == 25
    assert class_names(folder) == NAMES


@pytest.mark.usefixtures("small")
def test_many_rows_fill_several_shards_in_order(tmp_path):
    """Shards are numbered and read in the order written; the last one is as small as need be."""
    folder = written(tmp_path, ROWS)
    assert list(contents(folder)) == [f"0000{number}.parquet" for number in range(5)]
    assert [pq.read_metadata(path).num_rows for path in sorted(folder.iterdir())] == [6, 6, 6, 6, 1]
    assert pq.read_metadata(folder / "00000.parquet").num_row_groups == 2
    assert list(read_rows(str(folder))) == ROWS
    assert row_count(folder) == 25


@pytest.mark.usefixtures("small")
def test_full_shards_are_not_followed_by_an_empty_one(tmp_path):
    """Images that fill their shards exactly leave no shard without rows."""
    assert list(contents(written(tmp_path, ROWS[:12]))) == ["00000.parquet", "00001.parquet"]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    """DVC sees no change where there is none."""
    assert contents(written(tmp_path / "a", ROWS)) == contents(written(tmp_path / "b", ROWS))
    assert contents(written(tmp_path / "a", ROWS)) != contents(written(tmp_path / "c", ROWS[::-1]))


def test_values_of_a_transform_are_columns(tmp_path):
    """What was drawn for a copy is beside its image; an original has none."""
    rows = [
        ROWS[0],
        ROWS[1]._replace(transform={"hue": 0.5, "gamma": -2.0}),
        ROWS[2]._replace(transform={"gamma": 0.25}),
    ]
    table = pq.read_table(written(tmp_path, rows, ["hue", "gamma"]))
    assert table.schema.names == ["image", "label", "group", "hue", "gamma"]
    assert table.column("hue").to_pylist() == [None, 0.5, None]
    assert table.column("gamma").to_pylist() == [None, -2.0, 0.25]
    assert str(table.schema.field("hue").type) == "float"
    assert [row.encoded for row in read_rows(tmp_path)] == [row.encoded for row in rows]


def test_groups_and_preparation_travel_with_the_images(tmp_path):
    """Which images belong together is a column; how all were prepared stands in each shard's metadata."""
    grouped = [ROWS[0]._replace(group="owl 7"), ROWS[1]]
    preparation = {"image_size": 64, "fit": "crop"}
    with ShardWriter(tmp_path, NAMES, preparation=preparation) as writer:
        for row in grouped:
            writer.add(row)
    assert pq.read_table(tmp_path).column("group").to_pylist() == ["owl 7", ""]
    assert list(read_rows(tmp_path)) == grouped
    assert shards.preparation(tmp_path) == preparation


def test_shards_without_groups_and_preparation_are_read(tmp_path):
    """As an earlier version wrote them."""
    table = pq.read_table(written(tmp_path / "new", ROWS)).drop_columns(["group"])
    huggingface = {b"huggingface": table.schema.metadata[b"huggingface"]}
    (tmp_path / "old").mkdir()
    pq.write_table(table.replace_schema_metadata(huggingface), tmp_path / "old/00000.parquet")
    assert list(read_rows(tmp_path / "old")) == ROWS
    assert shards.preparation(tmp_path / "old") == {}


def test_no_rows_still_give_a_shard_with_names(tmp_path):
    """An empty part of the data can be read like any other."""
    folder = written(tmp_path, [])
    assert list(contents(folder)) == ["00000.parquet"]
    assert (list(read_rows(folder)), row_count(folder), class_names(folder)) == ([], 0, NAMES)


@pytest.mark.parametrize("read", [class_names, row_count, lambda folder: list(read_rows(folder))])
def test_a_folder_without_shards_says_what_to_do(read, tmp_path):
    """Results that are not there yet are no traceback."""
    with pytest.raises(UserError) as caught:
        read(tmp_path / "nowhere")
    line = f"{tmp_path / 'nowhere'} holds no shards; run `dvc repro`, or `dvc pull` for results that were shared"
    assert caught.value.lines == (line,)


def test_a_failure_writes_no_more_rows(tmp_path):
    """A stage that fails raises its own error, not one of the writer; rows in waiting are not written."""
    with pytest.raises(ZeroDivisionError), ShardWriter(tmp_path, NAMES) as writer:  # noqa: PT012  # as a stage does it
        writer.add(ROWS[0])
        raise ZeroDivisionError
    assert contents(tmp_path) == {}


def test_writing_holds_no_more_than_a_row_group(tmp_path, monkeypatch):
    """Memory does not grow with the number of images."""
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 1 << 16)
    monkeypatch.setattr(shards, "SHARD_BYTES", 1 << 18)
    written(tmp_path / "first", ROWS)  # what Arrow loads on its first use does not count
    tracemalloc.start()
    try:
        with ShardWriter(tmp_path / "many", NAMES) as writer:
            for number in range(500):
                writer.add(Row(bytes(8192), f"{number}", 0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20  # of 4 MB


def test_hugging_face_datasets_shows_images_with_class_names(tmp_path, monkeypatch):
    """`datasets.load_dataset("parquet", ...)` decodes the images and knows the names of their classes."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    red, blue = (np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    rows = [Row(encode(red, 95), "raven/1.jpg", 1), Row(encode(blue, 95), "red kite/2.jpg", 2, {"hue": 0.5})]
    folder = written(tmp_path / "shards", rows, ["hue"])
    loaded = datasets.load_dataset(
        "parquet", data_files=str(folder / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.features["label"] == datasets.ClassLabel(names=NAMES)
    assert loaded.features["image"] == datasets.Image()
    assert [loaded.features["label"].int2str(row["label"]) for row in loaded] == ["raven", "red kite"]
    assert [row["hue"] for row in loaded] == [None, 0.5]
    assert isinstance(loaded[0]["image"], Image.Image)
    for row, image in zip(loaded, (red, blue), strict=True):
        assert np.abs(np.asarray(row["image"]).astype(int) - image).max() <= 3
    with Image.open(io.BytesIO(pq.read_table(folder).column("image")[1].as_py()["bytes"])) as image:
        assert image.size == (8, 8)
