"""The files that a person names, and the images in them as a network was trained to see them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2

from stages.datasets.common.folders import IMAGE_SUFFIXES
from stages.images.reading import FitMode, ImageArray, UnreadableImage, decode, encode, load, resized
from stages.runtime.cores import available_cores

CHUNK = 64  # images that are answered at a time
AHEAD = 3  # chunks that are read before the first of them is answered


class Preparation(NamedTuple):
    """How the stage prepare made images: params.yaml's settings of these names, and the white that it found."""

    image_size: int
    fit: FitMode = "crop"
    jpeg_quality: int = 95
    pixel_limit: int = 100_000_000
    white: int = 255


class Bad(NamedTuple):
    """Why a file cannot be answered."""

    reason: str


Read = ImageArray | Bad


def files_in(paths: Sequence[str]) -> list[str]:
    """Return files as they are named, and for a folder what it holds that looks like an image, in order; none twice.

    Files and folders within whose names begin with a dot are passed over, and so are links that lead out of a folder
    and round in circles.
    """
    found: dict[str, None] = {}
    for path in paths:
        if Path(path).is_dir():
            below = (file for file in Path(path).rglob("*") if not _is_hidden(file.relative_to(path)))
            found |= dict.fromkeys(sorted(str(file) for file in below if file.suffix.lower() in IMAGE_SUFFIXES))
        else:
            found[path] = None
    return list(found)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def chunks_of(paths: Iterable[str], preparation: Preparation, size: int) -> Iterator[list[tuple[str, Read]]]:
    """Yield paths with their images (size, size, 3), or why there is none, some at a time, in order.

    While the caller answers some, threads read the next: decoding happens outside Python's lock.
    """
    remaining = iter(paths)
    chunks = iter(lambda: list(islice(remaining, CHUNK)), [])
    cv2.setNumThreads(0)
    with ThreadPoolExecutor(available_cores()) as threads:

        def start(chunk: list[str]) -> list[tuple[str, Future[Read]]]:
            return [(path, threads.submit(image_in, path, preparation, size)) for path in chunk]

        waiting = deque(start(chunk) for chunk in islice(chunks, AHEAD))
        try:
            while waiting:
                yield [(path, future.result()) for path, future in waiting.popleft()]
                waiting.extend(start(chunk) for chunk in islice(chunks, 1))
        finally:
            threads.shutdown(cancel_futures=True)


def image_in(path: str, preparation: Preparation, size: int) -> Read:
    """Return a file's image as the shards would have it, or why there is none."""
    try:
        if not Path(path).is_file():
            return Bad("a folder" if Path(path).is_dir() else "no such file" if not Path(path).exists() else "no file")
        image = load(Path(path), preparation.pixel_limit, preparation.white)
    except UnreadableImage as bad:
        return Bad(str(bad))
    except OSError as error:
        return Bad(error.strerror or str(error))
    kept = decode(encode(resized(image, preparation.image_size, preparation.fit), preparation.jpeg_quality))
    return kept if size == preparation.image_size else resized(kept, size)
