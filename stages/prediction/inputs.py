"""The files that a person names, and the images in them as a network was trained to see them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2

from stages.datasets.common.folders import is_image_name, walk_with_errors
from stages.images.reading import ImageArray, UnreadableImage
from stages.networks.common.weights import Metadata
from stages.runtime.cores import available_cores

CHUNK = 64  # images that are answered at a time
PREFETCHED = 3  # chunks that are read before the first of them is answered


class Unreadable(NamedTuple):
    """Why a file cannot be answered."""

    reason: str


def files_in(paths: Sequence[str]) -> list[str]:
    """Return files as they are named, and for a folder what it holds that is named like an image, in order; none twice.

    Links are followed; hidden files and folders, and links that lead round in circles, are passed over.
    """
    found: dict[str, None] = {}
    for path in paths:
        if Path(path).is_dir():
            found |= dict.fromkeys(sorted(str(file) for file, _ in walk_with_errors(Path(path)) if is_image_name(file)))
        else:
            found[path] = None
    return list(found)


def chunks_of(paths: Iterable[str], metadata: Metadata) -> Iterator[list[tuple[str, ImageArray | Unreadable]]]:
    """Yield paths with their images (size, size, 3), or why there is none, some at a time, in order.

    While the caller answers some, threads read the next: decoding happens outside Python's lock.
    """
    remaining = iter(paths)
    chunks = iter(lambda: list(islice(remaining, CHUNK)), [])
    cv2.setNumThreads(0)
    with ThreadPoolExecutor(available_cores()) as threads:

        def start(chunk: list[str]) -> list[tuple[str, Future[ImageArray | Unreadable]]]:
            return [(path, threads.submit(image_in, path, metadata)) for path in chunk]

        waiting = deque(start(chunk) for chunk in islice(chunks, PREFETCHED))
        try:
            while waiting:
                yield [(path, future.result()) for path, future in waiting.popleft()]
                waiting.extend(start(chunk) for chunk in islice(chunks, 1))
        finally:
            threads.shutdown(cancel_futures=True)


def image_in(path: str, metadata: Metadata) -> ImageArray | Unreadable:
    """Return a file's image as the study would have it, or why there is none."""
    try:
        if not Path(path).is_file():
            kind = "a folder" if Path(path).is_dir() else "no such file" if not Path(path).exists() else "no file"
            return Unreadable(kind)
        return metadata.preparation.prepared(Path(path), metadata.image_size)
    except UnreadableImage as bad:
        return Unreadable(str(bad))
    except OSError as error:
        return Unreadable(error.strerror or str(error))
