"""Images of 16 bits a channel, of which cameras and microscopes often use 10, 12 or 14: which value is white?"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.images.formats import PNG_SIGNATURE, first_bytes

MAX_16_BIT = 65535
BITS_PER_SAMPLE = 258  # a tag of TIFF
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

Values = NDArray[np.uint16]


def may_be_high_bit_depth(path: Path) -> bool:
    """Say, from its first bytes, whether a file may have 16 bits a channel without saying which value is white."""
    start = first_bytes(path)
    return start.startswith(TIFF_SIGNATURES) or (start.startswith(PNG_SIGNATURE) and start[24:25] == b"\x10")


def is_high_bit_depth(image: Image.Image, path: Path) -> bool:
    """Say whether a file that Pillow has opened has whole numbers of more than 8 bits a channel."""
    if image.format == "PNG":
        return may_be_high_bit_depth(path)
    bits = image.getexif().get(BITS_PER_SAMPLE, 8) if image.format == "TIFF" else 8
    return image.mode != "F" and max(np.atleast_1d(bits)) > 8


def values_of(image: Image.Image, path: Path) -> Values | None:
    """Return values as the file has them, (height, width) or (height, width, 3 or 4); None where they cannot be read.

    Pillow keeps all bits of grey images and eight of coloured ones; those OpenCV reads.
    """
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        return grey.astype(np.uint16) if grey.min() >= 0 and grey.max() <= MAX_16_BIT else None
    colours = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if colours is None or colours.dtype != np.uint16 or colours.shape[:2] != (image.height, image.width):
        return None
    if colours.ndim == 3:
        order = cv2.COLOR_BGR2RGB if colours.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        colours = cv2.cvtColor(colours, order)
    return np.asarray(colours, np.uint16)


def scale_to_8_bits(values: Values, white_level: int) -> Image.Image:
    """Return an image of 8 bits a channel in which `white_level` is 255."""
    scaled = np.minimum(values, white_level).astype(np.uint32) * 256 // (white_level + 1)  # of 65535: the upper 8 bits
    return Image.fromarray(scaled.astype(np.uint8))
