"""Pictures held in memory as the networks want them, read once from shards."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages.lib.pictures import decode, resized
from stages.lib.shards import class_names, read_rows

# Of ImageNet, in units of 1/255, for every network: pre-trained weights expect these, others learn as well with them
MEAN = (123.675, 116.28, 103.53)
STANDARD_DEVIATION = (58.395, 57.12, 57.375)

CHUNK = 16  # pictures that a thread decodes at a time


@dataclass(frozen=True)
class PictureSet:
    """Pictures (N, H, W, 3) as uint8 with labels (N,) as int64, on one device."""

    pictures: Tensor
    labels: Tensor
    class_names: list[str]
    paths: list[str]

    @property
    def image_size(self) -> int:
        """Width and height of the pictures."""
        return self.pictures.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return images (n, 3, H, W) in channels_last memory order, normalised, and their labels (n,)."""
        pictures = self.pictures[rows] if isinstance(rows, slice) else self.pictures.index_select(0, rows)
        # as rows of width x 3 values: a loop over three at a time would take longer
        lines = pictures.flatten(2).float()
        mean = torch.tensor(MEAN * self.image_size, device=lines.device)
        scale = torch.tensor(STANDARD_DEVIATION * self.image_size, device=lines.device)
        return lines.sub_(mean).div_(scale).view(pictures.shape).permute(0, 3, 1, 2), self.labels[rows]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all pictures in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))


def load_pictures(folder: str | Path, device: torch.device, size: int | None = None) -> PictureSet:
    """Read a folder of shards into memory: 3 bytes a pixel, 12 KB a picture of 64 pixels.

    With `size`, pictures of another width and height are resized to it.
    """
    rows = list(read_rows(folder))
    first = _decoded(rows[0].encoded, size)
    pictures = np.empty((len(rows), *first.shape), np.uint8)

    def decode_from(start: int) -> None:
        for index, row in enumerate(rows[start : start + CHUNK], start):
            pictures[index] = _decoded(row.encoded, size)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding happens outside Python's lock
        for _ in threads.map(decode_from, range(0, len(rows), CHUNK)):
            pass  # an error is raised here
    labels = np.array([row.label for row in rows], np.int64)
    tensors = torch.from_numpy(pictures).to(device), torch.from_numpy(labels).to(device)
    return PictureSet(*tensors, class_names(folder), [row.path for row in rows])


def _decoded(encoded: bytes, size: int | None) -> np.ndarray:
    picture = decode(encoded)
    return picture if size is None else resized(picture, size)
