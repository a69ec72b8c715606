"""Stage augment: add altered copies to the training pictures: shifted, turned, in other hue and gamma."""

import os
import sys
from functools import cache, partial
from types import ModuleType
from typing import Annotated

import cv2
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat

from stages.lib.command import run_stage
from stages.lib.files import finished_folder
from stages.lib.parallel import ordered_map
from stages.lib.params import Section, read
from stages.lib.pictures import Picture, decode, encode
from stages.lib.shards import Row, ShardWriter, class_names, read_rows, row_count
from stages.lib.streams import uniform

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
    """Add altered copies to the training pictures: shifted, turned, in other hue and gamma."""
    settings, seed = read("augment", Settings), read("seed", NonNegativeInt)
    make = partial(with_copies, settings=settings, seed=seed)
    names, count = class_names("data/original"), row_count("data/original")
    with finished_folder("data/augmented") as folder, ShardWriter(folder, names, DRAWN) as writer:
        for rows in ordered_map(make, read_rows("data/original"), "augment", count):
            for row in rows:
                writer.add(row)


def with_copies(original: Row, settings: Settings, seed: int) -> list[Row]:
    """Return the row and `settings.copies` altered copies of it, each with the values drawn for it."""
    picture = decode(original.encoded)
    rows = [original]
    for copy in range(1, settings.copies + 1):
        drawn = draw(settings, seed, original.path, copy)
        encoded = encode(altered(picture, drawn), settings.jpeg_quality)
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


def altered(picture: Picture, drawn: dict[str, float]) -> Picture:
    """Return the picture turned and shifted in one interpolation, then with its hue turned and its gamma changed.

    What a turn or shift brings in from outside is the picture mirrored at its border: a black corner would tell
    copies from originals.
    """
    cv2.setNumThreads(0)  # the processes already use every core
    geometric, pixel = _albumentations()
    height, width = picture.shape[:2]
    matrix = geometric.create_affine_transformation_matrix(
        translate={"x": drawn["shift_x"] * width, "y": drawn["shift_y"] * height},
        shear={"x": 0, "y": 0},
        scale={"x": 1, "y": 1},
        rotate=drawn["rotation"],
        shift=geometric.center((height, width)),
    )
    moved = geometric.warp_affine(picture, matrix, cv2.INTER_LINEAR, 0, cv2.BORDER_REFLECT_101, (height, width))
    steps = round(drawn["hue"] / 2)  # OpenCV counts hue in steps of two degrees
    turned = pixel.shift_hsv(moved, hue_shift=steps, sat_shift=0, val_shift=0)
    brightened: Picture = pixel.gamma_transform(turned, gamma=drawn["gamma"])
    return brightened


@cache
def _albumentations() -> tuple[ModuleType, ModuleType]:
    """Return Albumentations' functions on the geometry and on the pixels of pictures.

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
