"""Folders of features: what a frozen backbone gives for each image of a folder of shards, and for its mirror image.

One Parquet file with the columns path: string, label: int64, group: string, is_copy: bool, features and mirrored: lists
of float32 of one length; a row for each image, in the order of the shards. Empty where the backbone is not frozen.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.images.shards import class_names, read_rows
from stages.networks.common.runner import OnnxRunner, decoded_batches

FILE = "features.parquet"


class FeatureSet(NamedTuple):
    """Features (n, d) of images and of their mirror images, their labels (n,), and which are altered copies (n,)."""

    features: NDArray[np.float32]
    mirrored: NDArray[np.float32]
    labels: NDArray[np.int64]
    paths: list[str]
    groups: list[str]
    are_copies: NDArray[np.bool_]
    class_names: list[str]


def write_features(folder: Path, runner: OnnxRunner, shards: str, size: int) -> int:
    """Write the features of a folder of shards; return of how many images."""
    writer, count = None, 0
    for rows, images in decoded_batches(read_rows(shards), size):
        mirrored = np.ascontiguousarray(images[:, :, ::-1])
        table = pa.table(
            {
                "path": pa.array([row.path for row in rows]),
                "label": pa.array([row.label for row in rows], pa.int64()),
                "group": pa.array([row.group for row in rows]),
                "is_copy": pa.array([row.transform is not None for row in rows]),
                "features": _lists(runner.run(images, "features")[0]),
                "mirrored": _lists(runner.run(mirrored, "features")[0]),
            },
            metadata=_metadata(shards),
        )
        writer = writer or pq.ParquetWriter(folder / FILE, table.schema, compression="NONE", use_dictionary=False)
        writer.write_table(table)
        count += len(rows)
    if writer is not None:
        writer.close()
    return count


def write_no_features(folder: Path, shards: str) -> None:
    """Write a file without rows, of a network whose backbone learns, so that every network has its folder."""
    types = {"path": pa.string(), "label": pa.int64(), "group": pa.string(), "is_copy": pa.bool_()}
    pq.write_table(pa.schema(types, metadata=_metadata(shards)).empty_table(), folder / FILE)


def _metadata(shards: str) -> dict[str, str]:
    return {"class_names": json.dumps(class_names(shards), ensure_ascii=False)}


def read_features(folder: str | Path) -> FeatureSet:
    """Return the features that `write_features` wrote."""
    table = pq.read_table(Path(folder) / FILE).combine_chunks()
    labels = table["label"].to_numpy()
    return FeatureSet(
        _array(table["features"]),
        _array(table["mirrored"]),
        labels.astype(np.int64),
        table["path"].to_pylist(),
        table["group"].to_pylist(),
        table["is_copy"].to_numpy(),
        json.loads(table.schema.metadata[b"class_names"]),
    )


def _lists(values: NDArray[np.float32]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), values.shape[1])


def _array(column: pa.ChunkedArray) -> NDArray[np.float32]:
    lists = column.combine_chunks()
    return np.asarray(lists.flatten().to_numpy(), np.float32).reshape(len(lists), -1)
