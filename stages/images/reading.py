"""Read pictures as people have them; resize, encode and decode pictures as the study keeps them.

A picture is a uint8 array of shape (height, width, 3), RGB.
"""

import struct
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stages.images.bit_depth import WHITE, is_deep, levels, shown
from stages.images.formats import (
    PNG_START,
    is_heif,
    png_of_pixels,
    raw_name,
    raw_reason,
    reads_heif,
    reason_unread,
    start_of,
)

Picture = NDArray[np.uint8]
Fit = Literal["crop", "pad", "squash"]

MID_GREY = (128, 128, 128)  # what shows through where a picture is transparent


# not all that Pillow knows: it reads EPS by running Ghostscript, and takes almost any file for some rare formats
FORMATS = ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"]
ORIENTATION = 274  # a tag of EXIF
BAD_EXIF = (SyntaxError, ValueError, struct.error)


class BadPicture(Exception):
    """A file that no picture can be read from; the message is the reason."""


def load(path: Path, pixel_limit: int, white: int = WHITE) -> Picture:
    """Return the picture in a file: upright by its EXIF orientation, first frame, transparency over mid-grey.

    16 bits a channel become 8 by scaling, so that the value `white` becomes 255. A picture whose metadata is corrupt or
    too large is taken without it. Raises BadPicture where the file is empty, truncated, no picture, has more than
    `pixel_limit` pixels, or has values whose black and white nothing tells (floating point, or beyond 16 bits).
    """
    if path.stat().st_size == 0:
        raise BadPicture("the file is empty")
    try:
        # warnings are Pillow's, on oddities that harm no pixel
        with warnings.catch_warnings(action="ignore"), _opened(path, pixel_limit) as image:
            return np.asarray(_as_rgb(_upright(_in_8_bits(image, path, white))))
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(reason_unread(path)) from None
    except Image.DecompressionBombError:
        raise BadPicture(f"more pixels than the limit of {pixel_limit}") from None
    except Exception as error:  # noqa: BLE001  # Pillow's readers raise almost anything on damaged bytes
        raise BadPicture(f"damaged: {' '.join(str(error).split()) or type(error).__name__}") from None


def highest_level(path: Path, pixel_limit: int) -> int:
    """Return the brightest value of a picture of 16 bits a channel; 0 for any other file, and for bad ones."""
    with suppress(Exception), warnings.catch_warnings(action="ignore"), _opened(path, pixel_limit) as image:
        if is_deep(image, path) and (values := levels(image, path)) is not None:
            return int(values[..., :3].max() if values.ndim == 3 else values.max())
    return 0


def _opened(path: Path, pixel_limit: int) -> Image.Image:
    """Return a picture with its pixels, as Pillow has it."""
    try:
        return _opened_as_it_is(path, path, pixel_limit)
    except (BadPicture, Image.DecompressionBombError):
        raise
    except Exception:
        if not start_of(path).startswith(PNG_START):
            raise
    # metadata is no reason to lose a picture: what is still wrong without it is wrong with the picture
    return _opened_as_it_is(path, BytesIO(png_of_pixels(path.read_bytes())), pixel_limit)


def _opened_as_it_is(path: Path, content: Path | BytesIO, pixel_limit: int) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = pixel_limit  # twice as many are refused even within a frame or thumbnail
    Image.init()
    formats = [*FORMATS, "HEIF"] if is_heif(start_of(path)) and reads_heif() else FORMATS
    image = Image.open(content, formats=[name for name in formats if name in Image.OPEN])
    try:
        _refuse(image, path, pixel_limit)
        image.load()
    except BaseException:
        image.close()
        raise
    return image


def _refuse(image: Image.Image, path: Path, pixel_limit: int) -> None:
    if image.format == "TIFF" and (raw := raw_name(image, path)):
        raise BadPicture(raw_reason(raw))
    if image.width * image.height > pixel_limit:
        raise BadPicture(f"{image.width} x {image.height} pixels are more than the limit of {pixel_limit}")


def _in_8_bits(image: Image.Image, path: Path, white: int) -> Image.Image:
    """Return a picture of 16 bits a channel with `white` as its white; any other as it is."""
    if white == WHITE or not is_deep(image, path):
        return image
    values = levels(image, path)
    if values is None:
        raise BadPicture("16 bits a channel in a form that cannot be scaled; convert it to 8 bits")
    scaled = shown(values, white)
    with suppress(*BAD_EXIF):
        scaled.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
    return scaled


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except BAD_EXIF:
        return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # more than 8 bits a pixel, which convert("RGB") would clip instead of scale
        levels = np.asarray(image)
        if image.mode == "F" or levels.min() < 0 or levels.max() > 65535:
            raise BadPicture("its values are not of 8 or 16 bits, so black and white are unknown; convert it")
        return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*MID_GREY, 255)), shown).convert("RGB")
    return image.convert("RGB")


def resized(picture: Picture, size: int, fit: Fit = "crop") -> Picture:
    """Return a picture as a square of `size` pixels a side.

    crop: the centre square of it; pad: all of it in its own shape, between two bars of mid-grey; squash: all of it,
    each side made `size` pixels long.
    """
    height, width = picture.shape[:2]
    if fit == "squash":
        return _scaled(picture, size, size)
    if fit == "pad":
        high, wide = (max(1, round(side * size / max(height, width))) for side in (height, width))
        square = np.full((size, size, 3), MID_GREY, np.uint8)
        top, left = (size - high) // 2, (size - wide) // 2
        square[top : top + high, left : left + wide] = _scaled(picture, high, wide)
        return square
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    # the square is cut out first: a picture of 1 x 100,000 pixels would fill the memory when enlarged as a whole
    return _scaled(picture[top : top + side, left : left + side], size, size)


def _scaled(picture: Picture, high: int, wide: int) -> Picture:
    """Return a picture shrunk, then enlarged, along each side as it needs."""
    height, width = picture.shape[:2]
    shrunk = (min(wide, width), min(high, height))  # cv2 has the width first
    if shrunk != (width, height):
        # area averages all pixels that fall into one (no moiré); when enlarging there is nothing to average
        picture = np.asarray(cv2.resize(picture, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    if shrunk != (wide, high):
        picture = np.asarray(cv2.resize(picture, (wide, high), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(picture)


def encode(picture: Picture, quality: int) -> bytes:
    """Return the picture as JPEG of `quality` (1 to 100), colour at full resolution."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def decode(encoded: bytes) -> Picture:
    """Return the picture that `encode` was given, as far as JPEG keeps it."""
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise BadPicture("not a JPEG that can be decoded")
    return np.asarray(picture, dtype=np.uint8)
