"""What the page shows of the images that insight speaks of: small copies, and their places on the map."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.images.preparation import at_size
from stages.images.reading import decode, encode
from stages.images.shards import SPLITS, read_rows
from stages.inspection.image_features import SPLIT_NAMES, FeatureTable

SIDE, QUALITY = 144, 80  # pixels and JPEG quality of an image in a row
MAP_SIDE, MAP_QUALITY = 48, 50  # of one that appears over the map
MAPPED = 800  # images that appear there, a kilobyte each


def write_thumbnails(folder: Path, paths: Collection[str]) -> None:
    """Write images.parquet: file and image, for the images of these paths in the order of the shards."""
    found = {
        row.path: thumbnail(row.encoded, SIDE, QUALITY)
        for name in SPLITS
        for row in read_rows(f"data/{name}")
        if row.path in paths
    }
    table = pa.table({"file": pa.array(list(found), pa.string()), "image": pa.array(list(found.values()), pa.binary())})
    pq.write_table(table, folder / "images.parquet")


def write_map(
    folder: Path, table: FeatureTable, places: NDArray[np.float64], doubtful: Collection[int], shown: Collection[int]
) -> None:
    """Write map.parquet: file, label, split, x, y, doubtful, and the image of those to be shown, else none."""
    rows = (row for name in SPLITS for row in read_rows(f"data/{name}"))
    images = [thumbnail(row.encoded, MAP_SIDE, MAP_QUALITY) if at in shown else None for at, row in enumerate(rows)]
    columns = {
        "file": pa.array(table.paths),
        "label": pa.array(table.labels),
        "split": pa.array([SPLIT_NAMES[split] for split in table.splits]),
        "x": pa.array(places[:, 0]),
        "y": pa.array(places[:, 1]),
        "doubtful": pa.array([row in doubtful for row in range(len(table.paths))]),
        "image": pa.array(images, pa.binary()),
    }
    pq.write_table(pa.table(columns), folder / "map.parquet")


def thumbnail(encoded: bytes, side: int, quality: int) -> bytes:
    """Return an image of a shard at so many pixels a side, or as it is where that is less."""
    image = decode(encoded)
    return encode(at_size(image, min(side, len(image))), quality)
