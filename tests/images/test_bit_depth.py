"""Images of 16 bits a channel that use fewer: microscopes and cameras write 10, 12 or 14."""

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.images.reading import MID_GREY, load, max_value
from tests.images.test_reading import LIMIT, assert_close, exif, png, saved, scene

BITS_12 = np.array([[0, 15, 16], [2048, 4000, 4095]], np.uint16)
SHOWN = np.array([[0, 0, 1], [128, 250, 255]], np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_becomes_white(channels, suffix, tmp_path):
    """With 4,095 as white 12 bits fill the 8 that the networks see, of grey and of each colour."""
    values = np.dstack([BITS_12, BITS_12 // 2, BITS_12 // 4]) if channels == 3 else BITS_12
    expected = np.dstack([values // 16] * (3 // channels)).astype(np.uint8)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), values[..., ::-1] if channels == 3 else values)
    assert_close(load(path, LIMIT, 4095), expected, 0)
    assert expected[..., 0].tolist() == SHOWN.tolist()


def test_what_is_brighter_than_white_is_white(tmp_path):
    """A white level of one's own cuts off what is above, and need not be a number of bits."""
    path = saved(tmp_path / "a.png", BITS_12)
    assert load(path, LIMIT, 2000)[..., 0].tolist() == [[0, 1, 2], [255, 255, 255]]


def test_transparency_and_orientation_hold_at_16_bits(tmp_path):
    """Clear parts show mid-grey, and the same side is up."""
    path = tmp_path / "a.png"
    samples = np.array([[[4095, 0, 0, 65535], [4095, 4095, 4095, 0]]], ">u2")
    path.write_bytes(png(2, 1, 16, 6, b"\0" + samples.tobytes()))
    assert_close(load(path, LIMIT, 4095), np.array([[(255, 0, 0), MID_GREY]]), 0)
    stored = np.rot90(scene()[..., 0].astype(np.uint16) * 16, 1).copy()
    turned = saved(tmp_path / "b.png", stored, exif=exif(6))
    assert_close(load(turned, LIMIT, 4095), scene()[..., :1].repeat(3, axis=2), 1)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_8_bits_have_their_white(suffix, tmp_path):
    """The white level of a set changes nothing in its images of 8 bits a channel."""
    path = saved(tmp_path / f"a.{suffix}", scene())
    assert np.array_equal(load(path, LIMIT, 4095), load(path, LIMIT))
    assert max_value(path, LIMIT) == 0


def test_pgm_says_its_white_itself(tmp_path):
    """Of a PGM with a highest value of 1,023 that is white, whatever the set's is."""
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 2 1 1023\n" + np.array([0, 1023], ">u2").tobytes())
    assert_close(load(path, LIMIT, 4095), np.array([[(0, 0, 0), (255, 255, 255)]]), 0)
    assert max_value(path, LIMIT) == 0


def test_the_brightest_value_is_of_colours_not_of_transparency(tmp_path):
    """Opaque at 16 bits says nothing about the colours; bad files and the pixel limit say 0."""
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, 16, 6, b"\0" + np.array([7, 900, 30, 65535], ">u2").tobytes()))
    assert max_value(path, LIMIT) == 900
    assert max_value(path, 0) == 0
    path.write_bytes(path.read_bytes()[:-20])
    assert max_value(path, LIMIT) == 0


def test_8_bit_and_floating_point_tiffs_are_not_deep(tmp_path):
    """Only whole numbers of more than 8 bits have a white to find."""
    assert max_value(saved(tmp_path / "a.tif", scene()), LIMIT) == 0
    assert max_value(saved(tmp_path / "b.tif", Image.fromarray(np.array([[0.5]], np.float32))), LIMIT) == 0
    assert max_value(saved(tmp_path / "c.tif", Image.fromarray(np.array([[1000]], np.int32))), LIMIT) == 1000
