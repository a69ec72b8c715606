"""How an image file becomes what a network sees."""

import numpy as np
import pytest
from PIL import Image

from stages.images.preparation import Preparation, at_size
from stages.images.reading import UnreadableImage, decode, encode, resized


def test_an_image_is_seen_as_it_is_stored(tmp_path):
    """Made square, as JPEG, and only then brought to the network's size: not straight from the file."""
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    how = Preparation(40, "pad", 80)
    stored = decode(encode(resized(image, 40, "pad"), 80))
    assert np.array_equal(decode(how.stored(image)), stored)
    assert np.array_equal(how.prepared(tmp_path / "a.png", 40), stored)
    assert np.array_equal(how.prepared(tmp_path / "a.png", 64), resized(stored, 64))
    assert at_size(stored, 40) is stored


def test_white_and_limit_are_the_set_s(tmp_path):
    """Of 16 bits a channel, and of pixels."""
    Image.fromarray(np.full((40, 40), 4095, np.uint16)).save(tmp_path / "a.png")
    assert Preparation(40, white_level=4095).prepared(tmp_path / "a.png", 40).min() == 255
    assert Preparation(40).prepared(tmp_path / "a.png", 40).max() == 15
    with pytest.raises(UnreadableImage, match="more than the limit of 1599"):
        Preparation(40, pixel_limit=1599).prepared(tmp_path / "a.png", 40)


@pytest.mark.parametrize(
    "wrong", [{"image_size": 0}, {"image_size": 4097}, {"jpeg_quality": 0}, {"white_level": 70_000}]
)
def test_what_cannot_be_is_refused(wrong):
    """Before a stranger's file of weights has an image of a terabyte made."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Preparation(**{"image_size": 64} | wrong)
