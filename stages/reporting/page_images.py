"""The images that the page shows, read from what the stages before it wrote."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from stages.images.shards import class_names

NAMES = {"hue": "hue", "rotation": "turned"}
DIRECTIONS = {"shift_x": ("left", "right"), "shift_y": ("up", "down")}  # below and above 0


SAMPLES = 12  # images of training that the page shows


def counts_of(folder: str) -> dict[str, int]:
    """Return how many images of each class the shards of a folder hold."""
    names = class_names(folder)
    labels = ds.dataset(folder).to_table(columns=["label"])["label"].to_numpy()
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def samples_of(folder: str) -> list[tuple[bytes, str]]:
    """Return the first image of up to twelve classes, spread evenly, each with its class."""
    names, shards = class_names(folder), ds.dataset(folder)
    labels, first = np.unique(shards.to_table(columns=["label"])["label"].to_numpy(), return_index=True)
    chosen = np.unique(np.linspace(0, len(labels) - 1, SAMPLES).round().astype(int))
    images = shards.take(first[chosen], columns=["image"])["image"].to_pylist()
    return [(image["bytes"], names[label]) for image, label in zip(images, labels[chosen], strict=True)]


def examples_of(file: str) -> list[dict[str, Any]]:
    """Return the test images that explain chose to show."""
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def copies_of(file: str) -> list[tuple[bytes, bytes, str]]:
    """Return the originals that augment chose to show, each with a copy and what was drawn for it."""
    rows = pq.read_table(file).to_pylist()
    return [(row.pop("original"), row.pop("copy"), transform_caption(row)) for row in rows]


def transform_caption(drawn: Mapping[str, float]) -> str:
    """Return the drawn values in words: shifts in per cent of the image, angles in degrees."""
    parts = []
    for name, value in drawn.items():
        if name in DIRECTIONS:
            if abs(100 * value) < 0.5:
                continue
            parts.append(f"{DIRECTIONS[name][value >= 0]} {abs(100 * value):.0f}\u00a0%")
        elif name == "gamma":
            parts.append(f"gamma {value:.2f}")
        else:
            parts.append(f"{NAMES.get(name, name)} {round(value):+}°")
    return ", ".join(parts)
