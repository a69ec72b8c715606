"""How an image file becomes what a network sees: written once, for the study, for `classify` and for exported networks."""

from pathlib import Path

from pydantic import ConfigDict, Field

from stages.images.reading import FitMode, ImageArray, decode, encode, load, resized
from stages.runtime.config import Section

MAX_SIDE = 4096  # pixels, of a stored image or a network's input


class Preparation(Section):
    """How the stage prepare made the images that a network was trained on; shards and files of weights carry it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    image_size: int = Field(ge=1, le=MAX_SIDE)  # pixels a side as stored
    fit: FitMode = "crop"
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    white_level: int = Field(default=65535, ge=255, le=65535)  # of images of 16 bits a channel

    def stored(self, image: ImageArray) -> bytes:
        """Return an image as the shards keep it: square, as JPEG."""
        return encode(resized(image, self.image_size, self.fit), self.jpeg_quality)

    def prepared(self, path: Path, size: int, pixel_limit: int) -> ImageArray:
        """Return a file's image as a network with an input of `size` pixels a side sees it. Raises UnreadableImage."""
        return at_size(decode(self.stored(load(path, pixel_limit, self.white_level))), size)


def at_size(image: ImageArray, size: int) -> ImageArray:
    """Return a square image at another size."""
    return image if image.shape[0] == size else resized(image, size)
