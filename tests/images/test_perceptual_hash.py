"""Which images look alike, and that the search finds all of them."""

import cv2
import numpy as np
import pytest

from stages.images.perceptual_hash import MIRROR, near_pairs, perceptual_hash


def clouds(seed: int) -> np.ndarray:
    """Draw soft clouds, of which each seed gives others."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)


def differing(one: bytes, other: bytes) -> int:
    """Count the bits that differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def test_a_mirrored_image_has_the_mirrored_likeness():
    """Bits that stand for what is odd from left to right change, and no other."""
    image = clouds(1)
    turned = np.frombuffer(perceptual_hash(image[:, ::-1].copy()), np.uint64) ^ MIRROR
    assert differing(turned.tobytes(), perceptual_hash(image)) <= 2


def test_copies_differ_in_few_bits_and_others_in_half():
    """Smaller and re-encoded images are near, others far."""
    image = clouds(1)
    encoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    for copy in (encoded, cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA)):
        assert differing(perceptual_hash(copy), perceptual_hash(image)) <= 31
    assert 80 < differing(perceptual_hash(clouds(2)), perceptual_hash(image)) < 176


@pytest.mark.parametrize("within", [0, 5, 15, 16, 31])
@pytest.mark.parametrize("one_scene", [False, True])
def test_every_pair_is_found(within, one_scene):
    """By bands or each with each, the search gives what comparing all pairs gives, mirrored ones as well."""
    rng = np.random.default_rng(within)
    bits = np.packbits(rng.random((300, 256)) < 0.5, axis=1)
    bits[150:] = bits[:150] ^ np.packbits(rng.random((150, 256)) < 0.08, axis=1)
    if one_scene:
        bits[:] = bits[:1] ^ np.packbits(rng.random((300, 256)) < 0.05, axis=1)
    bits[[7, 20]] = bits[240]
    bits[250:] ^= MIRROR.view(np.uint8)
    rows = [row.tobytes() for row in bits]
    flags = np.unpackbits(bits, axis=1).astype(int)
    expected = set()
    for mirrored, others in ((False, flags), (True, flags ^ np.unpackbits(MIRROR.view(np.uint8)))):
        distances = others.sum(axis=1)[:, None] + flags.sum(axis=1) - 2 * others @ flags.T
        near = np.argwhere(np.tril(distances <= within, -1)).tolist()
        expected |= {(later, earlier, int(distances[later, earlier]), mirrored) for later, earlier in near}
    found = {
        pair for pairs in near_pairs(rows, within) for pair in zip(*(part.tolist() for part in pairs), strict=True)
    }
    assert found == expected
    assert len(expected) >= 3
