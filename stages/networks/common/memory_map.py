"""Decoded images in a file below data/decoded that is mapped into memory: for sets larger than memory.

A file is named by what it was made from, so that all runs of a study share it; it is no stage's output, and may be
removed at any time.
"""

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import torch
from torch import Tensor

from stages.runtime.errors import UserError
from stages.runtime.files import UNFINISHED

FOLDER = Path("data/decoded")


@contextmanager
def decoded_file(shards: Path, shape: tuple[int, ...]) -> Iterator[tuple[Tensor, bool]]:
    """Give a tensor of uint8 in a file for the images of a folder of shards, and whether the block is to fill it.

    One that is to be filled takes its name when the block ends well, and those of the folder as it was before go.
    Raises UserError where the disk has no room for it.
    """
    path = FOLDER / f"{shards.name}-{shape[1]}.{_key(shards)}"
    if path.is_file() and path.stat().st_size == math.prod(shape):
        yield _mapped(path, shape), False
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")  # several runs may decode at the same time
    try:
        _reserve(unfinished, math.prod(shape))
        yield _mapped(unfinished, shape), True
        for old in FOLDER.glob(f"{shards.name}-{shape[1]}.*"):
            if not old.name.endswith(UNFINISHED):
                old.unlink(missing_ok=True)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _reserve(path: Path, size: int) -> None:
    """Make a file of `size` bytes; without room for it, writing into the map would end the process."""
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # macOS has no such call
            file.truncate(size)
        except OSError as error:
            raise UserError(
                f"{FOLDER} takes {size / 1e9:.1f} GB for images that are too many for the memory: {error.strerror};"
                " make room, or lower prepare.image_size or augment.copies"
            ) from None


def _mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    return torch.from_file(str(path), shared=True, size=math.prod(shape), dtype=torch.uint8).view(shape)


def _key(shards: Path) -> str:
    """Return a key of all bytes of the shards, and of what decodes them."""
    key = hashlib.sha256(cv2.__version__.encode())
    for path in sorted(shards.glob("*.parquet")):
        with path.open("rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
    return key.hexdigest()[:32]
