"""Folders of Parquet shards: images with their labels, readable by Hugging Face datasets, DuckDB and Polars as well.

Columns: image: struct<bytes: binary, path: string>, label: int64, and any float columns that the writer names.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from stages.runtime.errors import UserError

ROW_GROUP_BYTES = 4 << 20  # what a reader holds at a time
SHARD_BYTES = 32 << 20  # small enough that pushes and pulls run side by side, large enough to be few


class Row(NamedTuple):
    """An image in a shard: JPEG bytes, its path below the class folders, its label, and the values drawn for it."""

    encoded: bytes
    path: str
    label: int
    drawn: Mapping[str, float] | None = None


class ShardWriter:
    """Write rows to 00000.parquet, 00001.parquet, ... in a folder, holding no more than a row group in memory."""

    def __init__(self, folder: Path, class_names: Sequence[str], drawn: Sequence[str] = ()) -> None:
        self.folder, self.drawn = folder, list(drawn)
        self.schema = _schema(class_names, self.drawn)
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
        columns += [pa.array([(row.drawn or {}).get(name) for row in self.rows], pa.float32()) for name in self.drawn]
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
    """Yield the rows of all shards in a folder, in the order they were written; `drawn` is None for an original."""
    for path in _shard_paths(folder):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                images, *drawn = (batch.column(name) for name in batch.schema.names if name != "label")
                names = [name for name in batch.schema.names if name not in ("image", "label")]
                for index, label in enumerate(batch.column("label").to_pylist()):
                    values = {name: column[index].as_py() for name, column in zip(names, drawn, strict=True)}
                    is_copy = any(value is not None for value in values.values())
                    image = images[index].as_py()
                    yield Row(image["bytes"], image["path"], label, values if is_copy else None)


def row_count(folder: str | Path) -> int:
    """Return the number of rows in a folder of shards."""
    return sum(pq.read_metadata(path).num_rows for path in _shard_paths(folder))


def class_names(folder: str | Path) -> list[str]:
    """Return the names of the classes, in the order of their labels."""
    metadata = pq.read_schema(_shard_paths(folder)[0]).metadata
    names: list[str] = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    return names


def _shard_paths(folder: str | Path) -> list[Path]:
    paths = sorted(Path(folder).glob("*.parquet"))
    if not paths:
        raise UserError(f"{folder} holds no shards; run `dvc repro`, or `dvc pull` for results that were shared")
    return paths


def _schema(class_names: Sequence[str], drawn: Sequence[str]) -> pa.Schema:
    features: dict[str, object] = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(class_names)},
        **{name: {"_type": "Value", "dtype": "float32"} for name in drawn},
    }
    fields = [
        pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),
        pa.field("label", pa.int64()),
        *(pa.field(name, pa.float32()) for name in drawn),
    ]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})
