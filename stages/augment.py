"""Stage augment: add altered copies to the training images: shifted, rotated, in other hue and gamma."""

import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache, partial
from itertools import chain, pairwise, zip_longest
from types import ModuleType
from typing import Annotated

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat

from stages.images.reading import ImageArray, decode, encode
from stages.images.shards import Row, ShardWriter, class_names, path_of_copy, preparation, read_rows, row_count
from stages.runtime.command import run_stage
from stages.runtime.config import Section, read_section
from stages.runtime.dask_cluster import cluster_map
from stages.runtime.files import atomic_file, atomic_folder
from stages.runtime.seeding import uniform

EXAMPLES = 8  # of copies, for the report's page
TRANSFORM = ("shift_x", "shift_y", "hue", "gamma", "rotation")


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("must be [lowest, highest]")
    return bounds


class AugmentSettings(Section):
    """params.yaml's section `augment`."""

    copies: int = Field(default=1, ge=1, le=100)
    shift: float = Field(default=0.1, ge=0, le=0.5)
    hue: float = Field(default=10, ge=0, le=180)
    gamma: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)] = (0.8, 1.25)
    rotation: float = Field(default=15, ge=0, le=180)
    jpeg_quality: int = Field(default=95, ge=1, le=100)


def main() -> None:
    """Add altered copies to the training images: shifted, rotated, in other hue and gamma."""
    settings, seed = read_section("augment", AugmentSettings), read_section("seed", NonNegativeInt)
    originals, count = read_rows("data/original"), row_count("data/original")
    images = cluster_map(partial(augmented, settings=settings, seed=seed), originals, "augment", count)
    write_shards(chain.from_iterable(images))
    write_examples()


def write_shards(rows: Iterable[Row]) -> None:
    """Write data/augmented, with the classes and the preparation of data/original."""
    names, prepared = class_names("data/original"), preparation("data/original")
    with atomic_folder("data/augmented") as folder, ShardWriter(folder, names, TRANSFORM, prepared) as writer:
        for row in rows:
            writer.add(row)


def write_examples() -> None:
    """Write data/copies.parquet: eight originals, of different classes where there are, with a copy and its transform.

    Of each original the first copy; of as many classes as there are, evenly chosen.
    """
    pairs: dict[int, list[tuple[Row, Row]]] = {}
    for original, copy in pairwise(read_rows("data/augmented")):
        of_class = pairs.setdefault(original.label, [])
        if original.transform is None and copy.transform is not None and len(of_class) < EXAMPLES:
            of_class.append((original, copy))
    by_turns = [pair for same_rank in zip_longest(*pairs.values()) for pair in same_rank if pair]
    step = max(1, min(len(by_turns), len(pairs)) // EXAMPLES)
    rows = [
        {"original": original.encoded, "copy": copy.encoded, **(copy.transform or {})}
        for original, copy in by_turns[: EXAMPLES * step : step]
    ]
    with atomic_file("data/copies.parquet") as unfinished:
        pq.write_table(pa.Table.from_pylist(rows), unfinished)


def augmented(original: Row, settings: AugmentSettings, seed: int) -> list[Row]:
    """Return the row and `settings.copies` altered copies of it, each with the transform drawn for it."""
    image = decode(original.encoded)
    rows = [original]
    for copy in range(1, settings.copies + 1):
        transform = draw_transform(settings, seed, original.path, copy)
        encoded = encode(apply_transform(image, transform), settings.jpeg_quality)
        rows.append(Row(encoded, path_of_copy(original.path, copy), original.label, transform, original.group))
    return rows


def draw_transform(settings: AugmentSettings, seed: int, path: str, copy: int) -> dict[str, float]:
    """Return random values for a copy: shifts in widths, hue and rotation in degrees, gamma as exponent.

    Each comes from a stream of its own, so that changing the range of one leaves the others as they were.
    """
    ranges = {
        "shift_x": (-settings.shift, settings.shift),
        "shift_y": (-settings.shift, settings.shift),
        "hue": (-settings.hue, settings.hue),
        "gamma": settings.gamma,
        "rotation": (-settings.rotation, settings.rotation),
    }
    return {name: uniform(*ranges[name], seed, "augment", path, copy, name) for name in TRANSFORM}


def apply_transform(image: ImageArray, transform: Mapping[str, float]) -> ImageArray:
    """Return the image rotated and shifted in one interpolation, then with its hue rotated and its gamma changed.

    What comes in from outside is the image mirrored at its border: a black corner would tell copies from originals.
    """
    cv2.setNumThreads(0)  # the processes already use every core
    geometric, pixel = _albumentations()
    height, width = image.shape[:2]
    matrix = geometric.create_affine_transformation_matrix(
        translate={"x": transform["shift_x"] * width, "y": transform["shift_y"] * height},
        shear={"x": 0, "y": 0},
        scale={"x": 1, "y": 1},
        rotate=transform["rotation"],
        shift=geometric.center((height, width)),
    )
    moved = geometric.warp_affine(image, matrix, cv2.INTER_LINEAR, 0, cv2.BORDER_REFLECT_101, (height, width))
    result: ImageArray = pixel.gamma_transform(rotate_hue(moved, transform["hue"]), gamma=transform["gamma"])
    return result


def rotate_hue(image: ImageArray, degrees: float) -> ImageArray:
    """Return the image with its colours rotated on the colour circle: red by 60 degrees is yellow, grey stays grey.

    In float, where OpenCV counts degrees; in 8 bits it has 180 steps, and less than a degree would do nothing.
    """
    hues = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2HSV)
    hues[..., 0] = hues[..., 0] + degrees % 360  # OpenCV takes a second rotation for the first, but nothing below zero
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
