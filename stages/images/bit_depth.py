"""Images of 16 bits a channel, of which cameras and microscopes often use 10, 12 or 14: which value is white?"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.images.formats import PNG_START, start_of

WHITE = 65535  # of 16 bits
BITS_PER_SAMPLE = 258  # a tag of TIFF
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

Levels = NDArray[np.uint16]


def may_be_high_bit_depth(path: Path) -> bool:
    """Say, from its first bytes, whether a file may have 16 bits a channel without saying which value is white."""
    start = start_of(path)
    return start.startswith(TIFF_STARTS) or (start.startswith(PNG_START) and start[24:25] == b"\x10")


def is_high_bit_depth(image: Image.Image, path: Path) -> bool:
    """Say whether a file that Pillow has opened is such a one, of whole numbers."""
    if image.format == "PNG":
        return may_be_high_bit_depth(path)
    bits = image.getexif().get(BITS_PER_SAMPLE, 8) if image.format == "TIFF" else 8
    return image.mode != "F" and max(np.atleast_1d(bits)) > 8


def levels(image: Image.Image, path: Path) -> Levels | None:
    """Return values as the file has them, (height, width) or (height, width, 3 or 4); None where they cannot be had.

    Pillow keeps all bits of grey images and eight of coloured ones; those OpenCV reads.
    """
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        return grey.astype(np.uint16) if grey.min() >= 0 and grey.max() <= WHITE else None
    colours = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if colours is None or colours.dtype != np.uint16 or colours.shape[:2] != (image.height, image.width):
        return None
    order = {2: None, 3: cv2.COLOR_BGR2RGB}.get(
        colours.ndim if colours.ndim == 2 else colours.shape[2], cv2.COLOR_BGRA2RGBA
    )
    return np.asarray(colours if order is None else cv2.cvtColor(colours, order), np.uint16)


def shown(values: Levels, white: int) -> Image.Image:
    """Return an image of 8 bits a channel in which `white` is 255."""
    scaled = np.minimum(values, white).astype(np.uint32) * 256 // (white + 1)  # of 65535: the upper 8 of 16 bits
    return Image.fromarray(scaled.astype(np.uint8))
