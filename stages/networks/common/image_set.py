"""Images as the networks want them, decoded once from shards: in memory, or where that is short in a file."""

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.hardware import distributed
from stages.hardware.device import has_room_for
from stages.hardware.memory import SHARE_OF_IMAGES, left_bytes
from stages.images.reading import decode, resized
from stages.images.shards import Row, class_names, read_rows, row_count
from stages.networks.common.contract import IMAGENET, Normalisation
from stages.networks.common.prediction import normalised
from stages.runtime.cores import available_cores
from stages.runtime.errors import UserError
from stages.runtime.files import is_failed_write

CHUNK = 16  # images that a thread decodes at a time
BLOCK = 4096  # images that are held encoded at a time


@dataclass(frozen=True)
class ImageSet:
    """Images (N, H, W, 3) as uint8 with labels (N,) as int64 on the device that computes.

    The pixels lie there too, or where it has no room for them in main memory, or in a file that is mapped into it:
    each batch is then brought over.
    """

    pixels: Tensor
    labels: Tensor
    class_names: list[str]
    paths: list[str]
    normalisation: Normalisation = IMAGENET
    copies: NDArray[np.bool_] | None = (
        None  # (N,): whether a row is an altered copy of the last row before that is none
    )
    on_disk: bool = False  # in a mapped file
    groups: Sequence[str] | None = None  # (N,): images of one name are no independent observations; "": of none

    @property
    def image_size(self) -> int:
        """Width and height of the pixels."""
        return self.pixels.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def originals(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows (n,) that are no copies, and how many rows there are of each, its copies included."""
        firsts = np.arange(len(self)) if self.copies is None else np.flatnonzero(~self.copies)
        return firsts, np.diff(firsts, append=len(self))

    def subset(self, rows: NDArray[np.int64]) -> "ImageSet":
        """Return a copy in memory of the images in some rows (n,), none of which is a copy of another."""
        at, names = torch.from_numpy(rows), self.groups
        return ImageSet(
            self.pixels.index_select(0, at.to(self.pixels.device)),
            self.labels.index_select(0, at.to(self.labels.device)),
            self.class_names,
            [self.paths[row] for row in rows],
            self.normalisation,
            groups=None if names is None else [names[row] for row in rows],
        )

    def batch(self, rows: Tensor | Sequence[int] | slice) -> tuple[Tensor, Tensor]:
        """Return images (n, 3, H, W) in channels_last memory order, normalised, and their labels (n,)."""
        chosen = rows if isinstance(rows, slice) else torch.as_tensor(rows)
        return self.normalised(self._chosen(chosen)), self.labels[chosen]

    def batches(self, size: int, part: slice = slice(None)) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all pixels, or a part of them, in order, `size` at a time."""
        first, end, _ = part.indices(len(self))
        for start in range(first, end, size):
            yield self.batch(slice(start, min(start + size, end)))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return pixels (n, H, W, 3) of uint8 as `batch` does."""
        return normalised(pixels.to(self.labels.device, non_blocking=True), self.normalisation)

    def chosen(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the pixels (n, H, W, 3) of each batch of rows (n,), as uint8.

        Where they lie on the disk, or not on the device that computes, those of the next batch are fetched meanwhile.
        """
        if not (self.on_disk or self.pixels.device != self.labels.device):
            yield from map(self._chosen, batches)
            return
        with ThreadPoolExecutor(1) as thread:
            waiting = [thread.submit(self._fetched, rows) for rows in batches[:1]]
            for rows in batches[1:]:
                waiting.append(thread.submit(self._fetched, rows))
                yield waiting.pop(0).result()
            yield from (last.result() for last in waiting)

    def _chosen(self, rows: Tensor | slice) -> Tensor:
        pixels = self.pixels
        return pixels[rows] if isinstance(rows, slice) else pixels.index_select(0, rows.to(pixels.device))

    def _fetched(self, rows: Tensor) -> Tensor:
        """Return what `_chosen` does of pixels in main memory, whence a CUDA device takes them while it computes.

        By numpy: torch would start a second team of threads here, which gets into the way of those that compute.
        """
        pixels = torch.from_numpy(np.take(self.pixels.numpy(), rows.cpu().numpy(), axis=0))
        return pixels.pin_memory() if self.labels.device.type == "cuda" else pixels


def load_images(
    folder: str | Path, device: torch.device, size: int | None = None, normalisation: Normalisation = IMAGENET
) -> ImageSet:
    """Decode a folder of shards: 3 bytes a pixel, 12 KB an image of 64 pixels.

    In memory, or where they would take more than a share of what is left, in a file without a name that is mapped into
    it. With `size`, images of another width and height are resized to it. Raises UserError where the disk has no room.
    """
    names = class_names(folder)
    shape = (row_count(folder), *_decoded(next(read_rows(folder)).encoded, size).shape)
    on_disk = math.prod(shape) * distributed.local_world_size() > SHARE_OF_IMAGES * left_bytes()
    pixels = _mapped(shape) if on_disk else torch.empty(shape, dtype=torch.uint8)
    rows = _read(folder, size, pixels.numpy())
    if has_room_for(pixels.nbytes):
        pixels = pixels.to(device)
    labels = torch.from_numpy(rows.labels).to(device)
    on_disk = on_disk and pixels.device.type == "cpu"
    return ImageSet(pixels, labels, names, rows.paths, normalisation, rows.are_copies, on_disk, rows.groups)


def _mapped(shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of uint8 in a file that vanishes with this process, however that ends."""
    size = math.prod(shape)
    with TemporaryFile(dir="data") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # without room, writing into the map would end the process
        except AttributeError:  # macOS has no such call
            file.truncate(size)
        except OSError as error:
            if not is_failed_write(error):
                raise
            raise UserError(
                f"data/ takes {size / 1e9:.1f} GB for images that are too many for the memory: {error.strerror};"
                " make room, or lower input_size, prepare.image_size or augment.copies"
            ) from None
        return torch.from_numpy(np.memmap(file, np.uint8, "r+", shape=shape))


class _Rows(NamedTuple):
    """What is known of the rows of a folder of shards, beside their pixels."""

    labels: NDArray[np.int64]
    paths: list[str]
    are_copies: NDArray[np.bool_]
    groups: list[str]


def _read(folder: str | Path, size: int | None, pixels: NDArray[np.uint8]) -> _Rows:
    """Read a folder of shards and decode its images into `pixels` (N, H, W, 3), a block at a time."""
    labels: list[int] = []
    paths: list[str] = []
    are_copies: list[bool] = []
    groups: list[str] = []
    rows = read_rows(folder)
    cv2.setNumThreads(0)  # the threads below already use every core
    with ThreadPoolExecutor(available_cores()) as threads:  # decoding happens outside Python's lock
        while block := list(islice(rows, BLOCK)):
            decode_from = partial(_decode, block, size, pixels[len(labels) :])
            for _ in threads.map(decode_from, range(0, len(block), CHUNK)):
                pass  # an error is raised here
            labels += [row.label for row in block]
            paths += [row.path for row in block]
            are_copies += [row.transform is not None for row in block]
            groups += [row.group for row in block]
    return _Rows(np.array(labels, np.int64), paths, np.array(are_copies, np.bool_), groups)


def _decode(block: list[Row], size: int | None, pixels: NDArray[np.uint8], start: int) -> None:
    for index, row in enumerate(block[start : start + CHUNK], start):
        pixels[index] = _decoded(row.encoded, size)


def _decoded(encoded: bytes, size: int | None) -> np.ndarray:
    image = decode(encoded)
    return image if size is None else resized(image, size)
