"""An offline field guide of invented birds, drawn from the seed, so that the study runs anywhere."""

from pathlib import Path

import cv2
from pydantic import Field

from stages.datasets.common.selection import Selection
from stages.datasets.field_guide.drawing import draw
from stages.datasets.field_guide.species import Species, field_guide
from stages.images.reading import encode
from stages.runtime.config import Section
from stages.runtime.parallel import parallel_map

JPEG_QUALITY = 95


class Settings(Section):
    """Section dataset.synthetic of params.yaml."""

    species: int = Field(default=200, ge=2, le=1000)  # in the field guide
    images_per_class: int = Field(default=40, ge=2)
    image_size: int = Field(default=96, ge=32, le=512)  # pixels a side; images are square


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Write images_per_class JPEG files of each class: folder/<class>/0000.jpg and so on.

    Raises UserError where `selection` asks for species that are not in the field guide.
    """
    guide = {species.name: species for species in field_guide(settings.species, seed)}
    count = min(settings.images_per_class, selection.max_images_per_class or settings.images_per_class)
    names = selection.class_names(dict.fromkeys(guide, settings.images_per_class))
    drawings = [(seed, guide[name], number, settings.image_size) for name in names for number in range(count)]
    for (_, species, number, _), jpeg in zip(
        drawings, parallel_map(encoded_drawing, drawings, "drawing birds"), strict=True
    ):
        (folder / species.name).mkdir(parents=True, exist_ok=True)
        (folder / species.name / f"{number:04d}.jpg").write_bytes(jpeg)


def encoded_drawing(drawing: tuple[int, Species, int, int]) -> bytes:
    """Return a JPEG file of `draw(*drawing)`."""
    cv2.setNumThreads(0)  # the worker processes already use every core
    return encode(draw(*drawing), JPEG_QUALITY)
