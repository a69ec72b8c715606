"""How an image file becomes what a network sees: written once, for the study, `classify` and exported networks."""

from dataclasses import dataclass
from pathlib import Path

from stages.images.bit_depth import MAX_16_BIT
from stages.images.reading import FitMode, ImageArray, decode, encode, load, resized

MAX_SIDE = 4096  # pixels, of a stored image or a network's input
PIXEL_LIMIT = 100_000_000  # a larger image might fill the memory


@dataclass(frozen=True)
class Preparation:
    """How the stage prepare made the images that a network was trained on; shards and files of weights carry it."""

    image_size: int  # pixels a side as stored
    fit: FitMode = "crop"
    jpeg_quality: int = 95
    white_level: int = MAX_16_BIT  # of images of 16 bits a channel
    pixel_limit: int = PIXEL_LIMIT

    def __post_init__(self) -> None:
        bounds = {"image_size": (1, MAX_SIDE), "jpeg_quality": (1, 100), "white_level": (255, MAX_16_BIT)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}")

    def stored(self, image: ImageArray) -> bytes:
        """Return an image as the shards keep it: square, as JPEG."""
        return encode(resized(image, self.image_size, self.fit), self.jpeg_quality)

    def prepared(self, path: Path, size: int) -> ImageArray:
        """Return a file's image as a network with an input of `size` pixels a side sees it. Raises UnreadableImage."""
        return at_size(decode(self.stored(load(path, self.pixel_limit, self.white_level))), size)


def at_size(image: ImageArray, size: int) -> ImageArray:
    """Return a square image at another size."""
    return image if image.shape[0] == size else resized(image, size)
