"""Images that look alike: copies that were re-encoded, resized or mirrored, and frames of one burst.

The hash of an image is 256 bits: the signs of the lowest frequencies of its brightness. Copies differ in few of them,
other images in about half: of the 69 million pairs of Caltech-UCSD Birds nine differ in 31 bits or fewer, and none of
the others in fewer than 34. JPEG of quality 30 changed up to 31 bits there, half the size up to 10, a shift by 1 % of
the width 20 in the middle and up to 34.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images.reading import ImageArray

SIDE, FREQUENCIES = 32, 16  # of the small image, and of its frequencies that count, along each side
BITS = FREQUENCIES * FREQUENCIES
MAX_DISTANCE = 31  # bits; images that differ in more are not called alike
BANDS, BAND_BITS = 16, 16
PAIRS_PER_BLOCK = 1 << 21  # bounds the memory of the search
MAX_PAIRS = 1_000_000_000  # compared in two minutes

# Neighbouring frequencies go together; shuffled, the values of a band are nearly all as frequent
BIT_ORDER = np.random.default_rng(0).permutation(BITS)
# A mirrored image has the same frequencies, those that are odd from left to right with the other sign
MIRROR = np.packbits((np.arange(BITS) % 2).astype(bool)[BIT_ORDER]).view(np.uint64)


class TooManySimilarImages(Exception):
    """So many images look alike that pairs cannot be told from the rest."""


class Pairs(NamedTuple):
    """Arrays of pairs of images that look alike, by number, the later one first."""

    later: NDArray[np.int64]
    earlier: NDArray[np.int64]
    distance: NDArray[np.int64]  # bits that differ, of one with the other or with its mirror image
    mirrored: NDArray[np.bool_]


def perceptual_hash(image: ImageArray) -> bytes:
    """Return the perceptual hash of an image, 32 bytes."""
    small = cv2.cvtColor(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    frequencies = cv2.dct(small.astype(np.float32))[:FREQUENCIES, :FREQUENCIES]
    return np.packbits(frequencies.ravel()[BIT_ORDER] > 0).tobytes()


def near_pairs(hashes: list[bytes], max_distance: int) -> Iterator[Pairs]:
    """Yield all pairs that differ in at most `max_distance` bits (0 to 31); a pair may come several times.

    Where two differ in so few bits, at least one of their 16 bands of 16 bits differs in one or none: only images
    that share a band but for that are compared, or each with each where that is less. Raises TooManySimilarImages
    where even that would take minutes.
    """
    bits = np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, len(MIRROR))
    both = np.concatenate([bits, bits ^ MIRROR])
    flips = [0, *(1 << bit for bit in range(BAND_BITS))] if max_distance >= BANDS else [0]
    bands = np.ascontiguousarray(both.view(np.uint16).T)
    sharing = 2 * len(flips) * sum(int((np.bincount(band[: len(bits)]).astype(np.int64) ** 2).sum()) for band in bands)
    if min(sharing, 2 * len(bits) ** 2) > MAX_PAIRS:
        raise TooManySimilarImages
    each_with_each = sharing > 2 * len(bits) ** 2
    by_band = (pairs for band in bands for pairs in _pairs_sharing_band(band, len(bits), flips))
    for queries, others in _all_pairs(len(bits)) if each_with_each else by_band:
        ordered = others < queries % len(bits)
        query, earlier = queries[ordered], others[ordered]
        distance = np.bitwise_count(both[query] ^ bits[earlier]).sum(axis=1, dtype=np.int64)
        near = distance <= max_distance
        if near.any():
            yield Pairs(query[near] % len(bits), earlier[near], distance[near], query[near] >= len(bits))


def _pairs_sharing_band(
    band: NDArray[np.uint16], count: int, flips: list[int]
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield pairs of a query and an image whose bands are the same but for some bits."""
    order = np.argsort(band[:count], kind="stable")
    starts = np.searchsorted(band[order], np.arange((1 << BAND_BITS) + 1))
    for flip in flips:
        keys = (band ^ np.uint16(flip)).astype(np.int64)
        lengths = starts[keys + 1] - starts[keys]
        queries = np.flatnonzero(lengths)
        ends = np.cumsum(lengths[queries])
        for part in np.split(
            queries, np.searchsorted(ends, np.arange(PAIRS_PER_BLOCK, ends[-1:].sum(), PAIRS_PER_BLOCK))
        ):
            some = lengths[part]
            rank = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
            yield np.repeat(part, some), order[np.repeat(starts[keys[part]], some) + rank]


def _all_pairs(count: int) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield each query with each image."""
    step = max(1, PAIRS_PER_BLOCK // count)
    for start in range(0, 2 * count, step):
        queries = np.arange(start, min(start + step, 2 * count))
        yield np.repeat(queries, count), np.tile(np.arange(count), len(queries))
