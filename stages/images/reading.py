"""Read images as people have them; resize, encode and decode images as the study keeps them.

An image is a uint8 array of shape (height, width, 3), RGB.
"""

import errno
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from stages.images.bit_depth import MAX_16_BIT, is_high_bit_depth, scale_to_8_bits, values_of
from stages.images.formats import (
    PNG_SIGNATURE,
    first_bytes,
    is_heif,
    png_without_metadata,
    raw_format,
    raw_format_reason,
    reads_heif,
    unsupported_reason,
)

ImageArray = NDArray[np.uint8]
FitMode = Literal["crop", "pad", "squash"]

MID_GREY = (128, 128, 128)  # what shows through where an image is transparent
INTERPOLATION = {"shrinking": "area", "enlarging": "bicubic"}  # of `resized`, in words
JPEG_SCANS = 100  # encoders write about ten; each costs as much time as the whole image
SCAN_MARKER = b"\xff\xda"

# errors that say nothing of what is in a file: to leave it out for one of these would be wrong
OF_THE_SYSTEM = (errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)

# not all that Pillow knows: it reads EPS by running Ghostscript, and takes almost any file for some rare formats
FORMATS = ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"]
ORIENTATION = 274  # a tag of EXIF, and what undoes each of its values but 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImage(Exception):
    """A file that no image can be read from; the message is the reason."""


def load(path: Path, pixel_limit: int, white_level: int = MAX_16_BIT) -> ImageArray:
    """Return the image in a file: upright by its EXIF orientation, first frame, transparency over mid-grey.

    16 bits a channel become 8 by scaling, so that the value `white_level` becomes 255. An image whose metadata is
    corrupt or too large is taken without it. Raises OSError where the system cannot read the file, and UnreadableImage
    where it is empty, truncated, no image, has more than `pixel_limit` pixels or a JPEG more than 100 scans, or has
    values whose black and white nothing tells (floating point, or beyond 16 bits).
    """
    if path.stat().st_size == 0:
        raise UnreadableImage("the file is empty")
    try:
        # warnings are Pillow's, on oddities that harm no pixel
        with warnings.catch_warnings(action="ignore"), _decode_file(path, pixel_limit) as image:
            return np.asarray(_to_rgb(_turned(_to_8_bits(image, path, white_level), _orientation(image))))
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(unsupported_reason(path)) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(f"more pixels than the limit of {pixel_limit} (prepare.pixel_limit)") from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged bytes
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
            raise
        raise UnreadableImage(f"damaged: {' '.join(str(error).split()) or type(error).__name__}") from None


def max_value(path: Path, pixel_limit: int) -> int:
    """Return the brightest value of an image of 16 bits a channel; 0 for any other file, and for bad ones."""
    with suppress(Exception), warnings.catch_warnings(action="ignore"), _decode_file(path, pixel_limit) as image:
        if is_high_bit_depth(image, path) and (values := values_of(image, path)) is not None:
            return int(values[..., :3].max() if values.ndim == 3 else values.max())
    return 0


def width_and_height(path: Path, pixel_limit: int) -> tuple[int, int]:
    """Return an image's pixels a side, from its header alone; (0, 0) where it has none or more than the limit."""
    Image.MAX_IMAGE_PIXELS = pixel_limit
    with suppress(Exception), warnings.catch_warnings(action="ignore"), _open(path, path) as image:
        return image.size if image.width * image.height <= pixel_limit else (0, 0)
    return (0, 0)


def _decode_file(path: Path, pixel_limit: int) -> Image.Image:
    """Return an image with its pixels, as Pillow has it."""
    try:
        return _decode(path, path, pixel_limit)
    except (UnreadableImage, Image.DecompressionBombError):
        raise
    except Exception:
        if not first_bytes(path).startswith(PNG_SIGNATURE):
            raise
    # metadata is no reason to lose an image: what is still wrong without it is wrong with the image
    return _decode(path, BytesIO(png_without_metadata(path.read_bytes())), pixel_limit)


def _decode(path: Path, content: Path | BytesIO, pixel_limit: int) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = pixel_limit  # twice as many are refused even within a frame or thumbnail
    image = _open(path, content)
    try:
        _check(image, path, pixel_limit)
        image.load()
    except BaseException:
        image.close()
        raise
    return image


def _open(path: Path, content: Path | BytesIO) -> Image.Image:
    Image.init()
    heif = ["HEIF"] if is_heif(first_bytes(path)) and reads_heif() else []
    return Image.open(content, formats=[name for name in FORMATS + heif if name in Image.OPEN])


def _check(image: Image.Image, path: Path, pixel_limit: int) -> None:
    """Raise UnreadableImage for what must not be decoded."""
    if image.format == "TIFF" and (raw := raw_format(image, path)):
        raise UnreadableImage(raw_format_reason(raw))
    if image.width * image.height > pixel_limit:
        size = f"{image.width} x {image.height} pixels"
        raise UnreadableImage(f"{size} are more than the limit of {pixel_limit} (prepare.pixel_limit)")
    if image.format in ("JPEG", "MPO") and (scans := path.read_bytes().count(SCAN_MARKER)) > JPEG_SCANS:
        raise UnreadableImage(f"a JPEG of {scans} scans, which would take minutes to decode; save it again")


def _to_8_bits(image: Image.Image, path: Path, white_level: int) -> Image.Image:
    """Return an image of 16 bits a channel scaled by its white; any other as it is."""
    if white_level == MAX_16_BIT or not is_high_bit_depth(image, path):
        return image
    values = values_of(image, path)
    if values is None:
        raise UnreadableImage("16 bits a channel in a form that cannot be scaled; convert it to 8 bits")
    return scale_to_8_bits(values, white_level)


def _orientation(image: Image.Image) -> object:
    """Return what EXIF says of which side is up; 1, upright, where it cannot be read."""
    with suppress(Exception):  # of Pillow's readers, whatever damaged bytes make of them
        return image.getexif().get(ORIENTATION, 1)
    return 1


def _turned(image: Image.Image, orientation: object) -> Image.Image:
    # not by ImageOps.exif_transpose: it writes all other tags anew, and fails at one that makes no sense
    turn = next((turn for value, turn in TURNS.items() if value == orientation), None)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # more than 8 bits a pixel, which convert("RGB") would clip instead of scale
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > MAX_16_BIT:
            raise UnreadableImage("its values are not of 8 or 16 bits, so black and white are unknown; convert it")
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, (*MID_GREY, 255))
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def resized(image: ImageArray, size: int, fit: FitMode = "crop") -> ImageArray:
    """Return an image as a square of `size` pixels a side.

    crop: the centre square of it; pad: all of it in its own shape, between two bars of mid-grey; squash: all of it,
    each side made `size` pixels long.
    """
    height, width = image.shape[:2]
    if fit == "squash":
        return _scale(image, size, size)
    if fit == "pad":
        high, wide = (max(1, round(side * size / max(height, width))) for side in (height, width))
        square = np.full((size, size, 3), MID_GREY, np.uint8)
        top, left = (size - high) // 2, (size - wide) // 2
        square[top : top + high, left : left + wide] = _scale(image, high, wide)
        return square
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    # the square is cut out first: an image of 1 x 100,000 pixels would fill the memory when enlarged as a whole
    return _scale(image[top : top + side, left : left + side], size, size)


def _scale(image: ImageArray, high: int, wide: int) -> ImageArray:
    """Return an image shrunk, then enlarged, along each side as it needs."""
    height, width = image.shape[:2]
    shrunk = (min(wide, width), min(high, height))  # cv2 has the width first
    if shrunk != (width, height):
        # area averages all pixels that fall into one (no moiré); when enlarging there is nothing to average
        image = np.asarray(cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    if shrunk != (wide, high):
        image = np.asarray(cv2.resize(image, (wide, high), interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(image)


def encode(image: ImageArray, quality: int) -> bytes:
    """Return the image as JPEG of `quality` (1 to 100), colour at full resolution."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def decode(encoded: bytes) -> ImageArray:
    """Return the image that `encode` was given, as far as JPEG keeps it."""
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise UnreadableImage("not a JPEG that can be decoded")
    return np.asarray(image, dtype=np.uint8)
