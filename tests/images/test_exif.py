"""What EXIF says besides which side is up is no reason to lose an image, or to leave it lying."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.images.reading import load

SIX = struct.pack("<HHIHH", 274, 3, 1, 6, 0)  # orientation: the camera was held upright
ODD = {  # tags that say what they cannot be, as programs for phones and panoramas write them
    "a resolution of text": struct.pack("<HHI4s", 282, 2, 4, b"abc\0"),
    "a resolution of bytes": struct.pack("<HHI4s", 282, 7, 4, b"abcd"),
    "a program's name of numbers": struct.pack("<HHII", 305, 5, 1, 8 + 2 + 24 + 4),
    "a description of text": struct.pack("<HHI4s", 700, 2, 4, b"abc\0"),
    "bits below zero": struct.pack("<HHIi", 258, 9, 1, -5),
    "a fraction of nothing": struct.pack("<HHII", 282, 5, 1, 0),
}


def write_jpeg(path: Path, tags: list[bytes]) -> Path:
    """Write an image of 30 x 20 pixels, white at its left, with these entries in its EXIF."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15] = 255
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=95)
    entries = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(tags) + bytes(4) + struct.pack("<II", 1, 2)
    segment = b"Exif\0\0" + entries
    start = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    path.write_bytes(written.getvalue()[:2] + start + written.getvalue()[2:])
    return path


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_a_photograph_stands_upright_whatever_other_tags_say(odd, tmp_path):
    """It is turned by its orientation alone."""
    image = load(write_jpeg(tmp_path / "photo.jpg", [SIX, odd]), 1_000_000)
    assert image.shape == (30, 20, 3)
    assert image[:15].mean() > 250
    assert image[15:].mean() < 5


@pytest.mark.parametrize("orientation", [b"6\0\0\0", b"\x09\0\0\0"])
def test_an_orientation_that_is_none_turns_nothing(orientation, tmp_path):
    """Neither a text nor a number that no camera means."""
    kind = 2 if orientation.startswith(b"6") else 3
    entry = struct.pack("<HHI4s", 274, kind, 2 if kind == 2 else 1, orientation)
    assert load(write_jpeg(tmp_path / "photo.jpg", [entry]), 1_000_000).shape == (20, 30, 3)
