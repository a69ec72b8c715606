"""Folders of Parquet shards: images with their labels, readable by Hugging Face datasets, DuckDB and Polars as well.

Columns: image: struct<bytes: binary, path: string>, label: int64, group: string, and of altered copies a float column
for each value of their transform. The schema's metadata say how Hugging Face datasets read it, and how images were
prepared.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from stages.images.preparation import Preparation
from stages.runtime.errors import UserError

SPLITS = {"original": "training", "validation": "validation", "test": "test"}  # their folders, and what each is for
ROW_GROUP_BYTES = 4 << 20  # what a reader holds at a time
SHARD_BYTES = 32 << 20  # small enough that pushes and pulls run side by side, large enough to be few


class Row(NamedTuple):
    """An image in a shard: JPEG bytes, its path below data/raw, its label, and if it is a copy how it was altered."""

    encoded: bytes
    path: str
    label: int
    transform: Mapping[str, float] | None = None
    group: str = ""  # images of one group (of one animal, burst, patient) are no independent observations


def path_of_copy(original: str, copy: int) -> str:
    """Return the path of an altered copy, the first of which is 1."""
    return f"{original}#{copy}"


def path_of_original(copy: str) -> str:
    """Return the path of the image that an altered copy is of."""
    return copy.rpartition("#")[0]


class ShardWriter:
    """Write rows to 00000.parquet, 00001.parquet, ... in a folder, holding no more than a row group in memory."""

    def __init__(
        self,
        folder: Path,
        class_names: Sequence[str],
        transforms: Sequence[str] = (),
        preparation: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.transforms = folder, list(transforms)
        self.schema = _schema(class_names, self.transforms, preparation or {})
        self.rows: list[Row] = []
        self.row_bytes = self.shard_bytes = self.shards = 0
        self.file: pq.ParquetWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and (self.rows or not self.shards):
            self._write_row_group()  # a folder without rows still gets a shard, so that readers find its schema
        self._close_shard()

    def add(self, row: Row) -> None:
        """Append a row."""
        self.rows.append(row)
        self.row_bytes += len(row.encoded)
        if self.row_bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def _write_row_group(self) -> None:
        if self.file is None:
            path = self.folder / f"{self.shards:05}.parquet"
            # JPEG does not shrink further and no image repeats: no compression, no dictionary
            self.file = pq.ParquetWriter(path, self.schema, compression="NONE", use_dictionary=False)
            self.shards += 1
        encoded = pa.array([row.encoded for row in self.rows], pa.binary())
        paths = pa.array([row.path for row in self.rows], pa.string())
        images = pa.StructArray.from_arrays([encoded, paths], fields=list(self.schema.field("image").type))
        columns = [images, pa.array([row.label for row in self.rows], pa.int64())]
        columns.append(pa.array([row.group for row in self.rows], pa.string()))
        values = [row.transform or {} for row in self.rows]
        columns += [pa.array([each.get(name) for each in values], pa.float32()) for name in self.transforms]
        self.file.write_table(pa.Table.from_arrays(columns, schema=self.schema), row_group_size=max(1, len(self.rows)))
        self.shard_bytes += self.row_bytes
        self.rows, self.row_bytes = [], 0
        if self.shard_bytes >= SHARD_BYTES:
            self._close_shard()

    def _close_shard(self) -> None:
        if self.file is not None:
            self.file.close()
        self.file, self.shard_bytes = None, 0


def read_rows(folder: str | Path) -> Iterator[Row]:
    """Yield the rows of all shards in a folder, in the order they were written; an original has no `transform`."""
    for path in _shard_paths(folder):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    image, label, group = row.pop("image"), row.pop("label"), row.pop("group", "")
                    is_copy = any(value is not None for value in row.values())
                    yield Row(image["bytes"], image["path"], label, row if is_copy else None, group)


def row_count(folder: str | Path) -> int:
    """Return the number of rows in a folder of shards."""
    return sum(pq.read_metadata(path).num_rows for path in _shard_paths(folder))


def class_names(folder: str | Path) -> list[str]:
    """Return the names of the classes, in the order of their labels."""
    names: list[str] = _metadata(folder, "huggingface")["info"]["features"]["label"]["names"]
    return names


def preparation(folder: str | Path) -> dict[str, Any]:
    """Return how the images of a folder of shards were prepared; nothing where that was not noted."""
    return _metadata(folder, "preparation")


def preparation_of(folder: str | Path) -> Preparation:
    """Return the same, as what prepares further images alike."""
    names = {field.name for field in fields(Preparation)}
    return Preparation(**{name: value for name, value in preparation(folder).items() if name in names})


def _metadata(folder: str | Path, key: str) -> dict[str, Any]:
    metadata = pq.read_schema(_shard_paths(folder)[0]).metadata or {}
    return dict(json.loads(metadata.get(key.encode(), b"{}")))


def _shard_paths(folder: str | Path) -> list[Path]:
    paths = sorted(Path(folder).glob("*.parquet"))
    if not paths:
        raise UserError(f"{folder} holds no shards; run `dvc repro`, or `dvc pull` for results that were shared")
    return paths


def _schema(class_names: Sequence[str], transforms: Sequence[str], preparation: Mapping[str, Any]) -> pa.Schema:
    features: dict[str, object] = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(class_names)},
        "group": {"_type": "Value", "dtype": "string"},
        **{name: {"_type": "Value", "dtype": "float32"} for name in transforms},
    }
    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    types = {"image": image, "label": pa.int64(), "group": pa.string(), **dict.fromkeys(transforms, pa.float32())}
    metadata = {"huggingface": {"info": {"features": features}}, "preparation": preparation}
    return pa.schema(list(types.items()), {key: json.dumps(value) for key, value in metadata.items()})
