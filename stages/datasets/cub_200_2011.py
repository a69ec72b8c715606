"""Caltech-UCSD Birds-200-2011: 11,788 photographs of 200 species, with an official split and a box around each bird.

Wah, Branson, Welinder, Perona, Belongie: The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from stages.datasets.common.archives import published_layout, unpacked
from stages.datasets.common.downloads import Checksum, Url, download
from stages.datasets.common.selection import Selection
from stages.runtime.config import Section
from stages.runtime.files import is_failed_write
from stages.runtime.parallel import parallel_map

TOP = "CUB_200_2011"
SPLITS = {"1": "train", "0": "test"}  # as train_test_split.txt has them
MODES = ("L", "RGB")  # a crop keeps these, as JPEG does
Box = tuple[float, float, float, float]  # x and y of the upper left corner, width, height, in pixels


class Settings(Section):
    """params.yaml's section `dataset.cub_200_2011`."""

    url: Url = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1"
    checksum: Checksum = "md5:97eceeb196236b17998738112f37df78"
    crop_to_bounding_box: bool = False


class Bird(NamedTuple):
    """A photograph as the lists describe it."""

    file: Path
    split: str
    species: str
    box: Box


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Write folder/train/<species>/<file> and folder/test/<species>/<file> for the chosen species, as published.

    Raises UserError where the archive cannot be had, or is not laid out as the data set's authors laid it out.
    """
    archive = download(settings.url, settings.checksum, "dataset.cub_200_2011", selection.limits)
    with unpacked(archive, folder, selection.limits) as top:
        with published_layout(archive, "CUB-200-2011", "dataset.cub_200_2011"):
            birds = _birds(top / TOP)
        copies = [(bird, folder / bird.split / bird.species / bird.file.name) for bird in _chosen(birds, selection)]
        for parent in sorted({copy.parent for _, copy in copies}):
            parent.mkdir(parents=True)
        if settings.crop_to_bounding_box:
            for _ in parallel_map(_crop, copies, "cropping"):
                pass
        else:
            for bird, copy in copies:
                bird.file.rename(copy)


def _birds(top: Path) -> list[Bird]:
    """Return all photographs, from the lists beside them."""
    species = _table(top / "classes.txt")
    labels = _table(top / "image_class_labels.txt")
    splits = _table(top / "train_test_split.txt")
    boxes = _table(top / "bounding_boxes.txt")
    return [
        Bird(
            file=_existing(top / "images", name),
            split=SPLITS[splits[number]],
            species=_checked_name(species[labels[number]]),
            box=_box(boxes[number]),
        )
        for number, name in _table(top / "images.txt").items()
    ]


def _table(file: Path) -> dict[str, str]:
    """Return the lines `<number> <value>` of a list as value by number."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {number: value for number, _, value in (line.strip().partition(" ") for line in lines) if number}


def _existing(images: Path, name: str) -> Path:
    path = PurePosixPath(name)
    for part in path.parts:  # of a list that anybody may have written
        _checked_name(part)
    if not (images / path).is_file():
        raise ValueError(f"images/{name} is missing")
    return images / path


def _checked_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} is no name of a folder or file")
    return name


def _box(values: str) -> Box:
    x, y, width, height = (float(value) for value in values.split())
    return x, y, width, height


def _chosen(birds: list[Bird], selection: Selection) -> Iterator[Bird]:
    """Yield the photographs that take part, by species and split."""
    groups: dict[tuple[str, str], dict[Path, Bird]] = defaultdict(dict)
    for bird in birds:
        groups[bird.species, bird.split][bird.file] = bird
    for species in selection.class_names({species: len(groups[species, "train"]) for species, _ in list(groups)}):
        for split in SPLITS.values():
            group = groups[species, split]
            yield from (group[file] for file in selection.first_images(group))


def _crop(copy: tuple[Bird, Path]) -> None:
    """Write what is inside the box, all of it where the box cuts a pixel, as JPEG with full colour resolution."""
    bird, path = copy
    x, y, width, height = bird.box
    try:
        with Image.open(bird.file) as image:
            right, lower = min(math.ceil(x + width), image.width), min(math.ceil(y + height), image.height)
            cut = image.crop((max(math.floor(x), 0), max(math.floor(y), 0), right, lower))
            kept = cut if cut.mode in MODES else cut.convert("RGB")
            kept.save(path, "JPEG", quality=95, subsampling=0)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        if is_failed_write(error):
            raise
        bird.file.rename(path)  # as it came: prepare lists all bad images at once
