"""Stage augment: add altered copies to the training images: shifted, turned, in other hue and gamma."""

import os
import sys
from functools import cache, partial
from itertools import pairwise
from types import ModuleType
from typing import Annotated

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat

from stages.images.reading import ImageArray, decode, encode
from stages.images.shards import Row, ShardWriter, class_names, read_rows, row_count
from stages.runtime.command import run_stage
from stages.runtime.config import Section, read_section
from stages.runtime.dask_cluster import cluster_map
from stages.runtime.files import atomic_file, atomic_folder
from stages.runtime.seeding import uniform

EXAMPLES = 8  # for the report's page
DRAWN = ("shift_x", "shift_y", "hue", "gamma", "rotation")


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("must be [lowest, highest]")
    return bounds


class Settings(Section):
    """params.yaml's section `augment`."""

    copies: int = Field(ge=1, le=100)
    shift: float = Field(ge=0, le=0.5)
    hue: float = Field(ge=0, le=180)
    gamma: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]
    rotation: float = Field(ge=0, le=180)
    jpeg_quality: int = Field(ge=1, le=100)


def main() -> None:
    """Add altered copies to the training images: shifted, turned, in other hue and gamma."""
    settings, seed = read_section("augment", Settings), read_section("seed", NonNegativeInt)
    make = partial(with_copies, settings=settings, seed=seed)
    names, count = class_names("data/original"), row_count("data/original")
    with atomic_folder("data/augmented") as folder, ShardWriter(folder, names, DRAWN) as writer:
        for rows in cluster_map(make, read_rows("data/original"), "augment", count):
            for row in rows:
                writer.add(row)
    write_examples("data/augmented", "data/copies.parquet")


def write_examples(folder: str, file: str) -> None:
    """Write eight originals with their first copy and what was drawn for it; of different classes where there are."""
    pairs: dict[int, list[tuple[Row, Row]]] = {}
    for row, after in pairwise(read_rows(folder)):
        if row.drawn is None and after.drawn is not None:
            of_class = pairs.setdefault(row.label, [])
            if len(of_class) < EXAMPLES:
                of_class.append((row, after))
    rounds = [pair[number] for number in range(EXAMPLES) for pair in pairs.values() if number < len(pair)]
    step = max(1, min(len(rounds), len(pairs)) // EXAMPLES)
    chosen = rounds[: EXAMPLES * step : step]
    rows = [{"original": row.encoded, "copy": copy.encoded, **(copy.drawn or {})} for row, copy in chosen]
    with atomic_file(file) as unfinished:
        pq.write_table(pa.Table.from_pylist(rows), unfinished)


def with_copies(original: Row, settings: Settings, seed: int) -> list[Row]:
    """Return the row and `settings.copies` altered copies of it, each with the values drawn for it."""
    image = decode(original.encoded)
    rows = [original]
    for copy in range(1, settings.copies + 1):
        drawn = draw(settings, seed, original.path, copy)
        encoded = encode(altered(image, drawn), settings.jpeg_quality)
        rows.append(Row(encoded, f"{original.path}#{copy}", original.label, drawn))
    return rows


def draw(settings: Settings, seed: int, path: str, copy: int) -> dict[str, float]:
    """Draw the values of a copy: shifts in widths, hue and rotation in degrees, gamma as exponent.

    Each comes from a stream of its own, so that changing the range of one leaves the others as they were.
    """
    ranges = {
        "shift_x": (-settings.shift, settings.shift),
        "shift_y": (-settings.shift, settings.shift),
        "hue": (-settings.hue, settings.hue),
        "gamma": settings.gamma,
        "rotation": (-settings.rotation, settings.rotation),
    }
    return {name: uniform(*ranges[name], seed, "augment", path, copy, name) for name in DRAWN}


def altered(image: ImageArray, drawn: dict[str, float]) -> ImageArray:
    """Return the image turned and shifted in one interpolation, then with its hue turned and its gamma changed.

    What a turn or shift brings in from outside is the image mirrored at its border: a black corner would tell
    copies from originals.
    """
    cv2.setNumThreads(0)  # the processes already use every core
    geometric, pixel = _albumentations()
    height, width = image.shape[:2]
    matrix = geometric.create_affine_transformation_matrix(
        translate={"x": drawn["shift_x"] * width, "y": drawn["shift_y"] * height},
        shear={"x": 0, "y": 0},
        scale={"x": 1, "y": 1},
        rotate=drawn["rotation"],
        shift=geometric.center((height, width)),
    )
    moved = geometric.warp_affine(image, matrix, cv2.INTER_LINEAR, 0, cv2.BORDER_REFLECT_101, (height, width))
    brightened: ImageArray = pixel.gamma_transform(hue_turned(moved, drawn["hue"]), gamma=drawn["gamma"])
    return brightened


def hue_turned(image: ImageArray, degrees: float) -> ImageArray:
    """Return the image with its colours turned on the colour circle: red by 60 degrees is yellow, grey stays grey.

    In float, where OpenCV counts degrees; in 8 bits it has 180 steps, and less than a degree would do nothing.
    """
    hues = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hues[..., 0] = hues[..., 0] + degrees % 360  # OpenCV takes a second turn for the first, but nothing below zero
    return np.asarray(cv2.convertScaleAbs(cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)), np.uint8)  # rounds


@cache
def _albumentations() -> tuple[ModuleType, ModuleType]:
    """Return Albumentations' functions on the geometry and on the pixels of images.

    Imported here, by the workers alone, and with torch hidden: Albumentations imports torch where it finds it, for a
    class that is not used here, which costs each worker two seconds and 500 MB.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version
    torch = sys.modules.get("torch")
    sys.modules["torch"] = None  # type: ignore[assignment]  # Python's documented way to have an import fail
    try:
        from albumentations.augmentations.geometric import functional as geometric
        from albumentations.augmentations.pixel import functional as pixel
    finally:
        del sys.modules["torch"]
        if torch is not None:
            sys.modules["torch"] = torch
    return geometric, pixel


if __name__ == "__main__":
    run_stage(main)
