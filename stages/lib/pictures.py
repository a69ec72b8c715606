"""Read pictures as people have them; resize, encode and decode pictures as the study keeps them.

A picture is a uint8 array of shape (height, width, 3), RGB.
"""

import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Picture = NDArray[np.uint8]

MID_GREY = (128, 128, 128)  # what shows through where a picture is transparent


# not all that Pillow knows: it reads EPS by running Ghostscript, and takes almost any file for some rare formats
FORMATS = ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"]


class BadPicture(Exception):
    """A file that no picture can be read from; the message is the reason."""


def load(path: Path, pixel_limit: int) -> Picture:
    """Return the picture in a file: upright by its EXIF orientation, first frame, transparency over mid-grey.

    16 bits a channel become 8 by scaling. A picture whose EXIF is corrupt is taken as it lies.
    Raises BadPicture where the file is empty, truncated, no picture, has more than `pixel_limit` pixels, or has values
    whose black and white nothing tells (floating point, or beyond 16 bits).
    """
    if path.stat().st_size == 0:
        raise BadPicture("the file is empty")
    try:
        with warnings.catch_warnings(action="ignore"):  # Pillow's, on oddities that harm no pixel
            return _read(path, pixel_limit)
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture("not a picture, or of a format that cannot be read") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"more pixels than the limit of {pixel_limit}") from None
    except Exception as error:  # noqa: BLE001  # Pillow's readers raise almost anything on damaged bytes
        raise BadPicture(f"damaged: {str(error) or type(error).__name__}") from None


def _read(path: Path, pixel_limit: int) -> Picture:
    Image.MAX_IMAGE_PIXELS = pixel_limit  # twice as many are refused even within a frame or thumbnail
    Image.init()
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        if image.width * image.height > pixel_limit:
            raise BadPicture(f"{image.width} x {image.height} pixels are more than the limit of {pixel_limit}")
        image.load()
        try:
            upright = ImageOps.exif_transpose(image)
        except (SyntaxError, ValueError, struct.error):
            upright = image
        return np.asarray(_as_rgb(upright))


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


def resized(picture: Picture, size: int) -> Picture:
    """Return the centre square of a picture, made `size` pixels wide."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    # the square is cut out first: a picture of 1 x 100,000 pixels would fill the memory when enlarged as a whole
    square = picture[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    # area averages all pixels that fall into one (no moiré); when enlarging there is nothing to average
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=interpolation).astype(np.uint8, copy=False)


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
