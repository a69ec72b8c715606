"""Folders of features: what a frozen backbone gives for each image of a folder of shards, and for its mirror image.

One Parquet file with the columns path: string, label: int64, group: string, is_copy: bool, features and mirrored: lists
of float32 of one length; a row for each image, in the order of the shards. Empty where the backbone is not frozen. Of
data/augmented the altered copies alone: the features of what they were made from are those of data/original.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.images.shards import class_names, path_of_original, read_rows
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


def write_features(folder: Path, runner: OnnxRunner, shards: str, size: int, *, copies_alone: bool = False) -> int:
    """Write the features of a folder of shards, or of the altered copies in it; return of how many images."""
    writer, count = None, 0
    asked = (row for row in read_rows(shards) if row.transform is not None or not copies_alone)
    for rows, images in decoded_batches(asked, size):
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


def with_copies(originals: FeatureSet, copies: FeatureSet) -> FeatureSet:
    """Return the features of images and of their altered copies, each image before its own."""
    sets, place = (originals, copies), {path: at for at, path in enumerate(originals.paths)}
    places = [*place.values(), *(place[path_of_original(path)] for path in copies.paths)]
    order = np.argsort(places, kind="stable")
    return FeatureSet(
        np.concatenate([each.features for each in sets])[order],
        np.concatenate([each.mirrored for each in sets])[order],
        np.concatenate([each.labels for each in sets])[order],
        _take([path for each in sets for path in each.paths], order),
        _take([group for each in sets for group in each.groups], order),
        np.concatenate([each.are_copies for each in sets])[order],
        originals.class_names,
    )


def _take(names: list[str], order: NDArray[np.int64]) -> list[str]:
    return [names[at] for at in order]


def _lists(values: NDArray[np.float32]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), values.shape[1])


def _array(column: pa.ChunkedArray) -> NDArray[np.float32]:
    lists = column.combine_chunks()
    return np.asarray(lists.flatten().to_numpy(), np.float32).reshape(len(lists), -1)
