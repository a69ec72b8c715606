"""What a study will need of the machine, estimated before it starts: memory of its largest step, and room on the disk.

Factors are rounded up from measurements (docs/speed.md); an estimate is a warning in time, not a promise.
"""

import shutil
from collections.abc import Iterable
from heapq import nlargest
from math import inf, prod
from pathlib import Path
from typing import NamedTuple

from stages.datasets.common.folders import walk_with_errors
from stages.hardware.memory import GIGABYTE, SHARE_OF_IMAGES, free_bytes
from stages.images.reading import width_and_height
from stages.runtime.cores import worker_count

# of one training image, by the bytes of a number: all that is kept for the gradient
STEP_BYTES_A_PIXEL = {2: 1_400, 4: 2_800}
RESIDENT_BYTES = 1_500_000_000  # Python, torch and freed memory that is kept
STATES = 4  # what is held of each parameter in training: itself, its gradient, and two of AdamW
JPEG_BYTES_A_PIXEL = 0.7  # of a shard's images at quality 95, detailed ones
FLOAT_BYTES = 4
COPIES_ON_DISK = 2  # in data/ and in DVC's cache
READ_BYTES_A_PIXEL = 12  # of an image of 16 bits a channel while it is read, turned and resized
LOOKED_AT = 20  # files of a folder, the largest ones
ARCHIVED_BYTES = 100_000  # of a photograph in an archive, to guess how many there are


class Size(NamedTuple):
    """What the needs of a study follow from."""

    images: int
    source_bytes: int  # of the images as they come
    image_size: int  # pixels a side, as stored
    input_size: int  # pixels a side, as the networks see them that train
    copies: int  # altered ones of each training image
    batch_size: int  # the largest of all networks
    parameters: int  # of the largest network
    runs: int
    bytes_a_number: int = FLOAT_BYTES  # 2 where training computes in bfloat16
    largest_image: int = 0  # pixels, as it comes


class Needs(NamedTuple):
    """What a study needs, or a machine has, in bytes."""

    memory: int
    disk: int


def needs(size: Size, memory: float = inf) -> Needs:
    """Return what a study of this size needs, at most: all images count as training images.

    Images that are too many for so many bytes of `memory` lie on the disk instead.
    """
    pixels, seen = size.image_size**2, size.input_size**2
    decoded = size.images * (1 + size.copies) * seen * 3
    step = size.batch_size * seen * STEP_BYTES_A_PIXEL[size.bytes_a_number]
    network = size.parameters * FLOAT_BYTES
    shards = size.images * (2 + size.copies) * pixels * JPEG_BYTES_A_PIXEL
    disk = COPIES_ON_DISK * (size.source_bytes + shards + size.runs * network) + STATES * network
    in_memory = decoded <= SHARE_OF_IMAGES * memory
    in_ram, on_disk = (decoded, 0) if in_memory else (0, decoded)
    return Needs(RESIDENT_BYTES + step + STATES * network + in_ram, int(disk) + on_disk)


def warnings_about(size: Size) -> list[str]:
    """Return a line for each thing of which this machine has less than the study in this folder needs."""
    available = machine(Path())
    return [
        *shortfalls(needs(size, available.memory), available),
        *worker_shortfalls(size.largest_image, available.memory),
    ]


def machine(project: Path) -> Needs:
    """Return the memory that is free, within a container's limit, and the disk: free, or already the study's."""
    files = (file for name in ("data", ".dvc/cache") for file in (project / name).rglob("*") if file.is_file())
    own = sum(file.stat().st_size for file in files)
    return Needs(free_bytes(), shutil.disk_usage(project).free + own)


def images_in(path: Path) -> tuple[int, int]:
    """Return how many files a folder holds, and their bytes; of an archive, about how many."""
    if path.is_file():
        return round(path.stat().st_size / ARCHIVED_BYTES), path.stat().st_size
    sizes = [file.stat().st_size for file in _files(path)]
    return len(sizes), sum(sizes)


def largest_pixels(folder: Path, pixel_limit: int) -> int:
    """Return the pixels of the largest image among the largest files of a folder; of no more than the limit."""
    largest = nlargest(LOOKED_AT, _files(folder), key=lambda file: file.stat().st_size)
    return max((prod(width_and_height(file, pixel_limit)) for file in largest), default=0)


def _files(folder: Path) -> list[Path]:
    """Return what fetch would find in a folder."""
    return [file for file, error in walk_with_errors(folder) if not error] if folder.is_dir() else []


def worker_shortfalls(pixels: int, memory: float) -> Iterable[str]:
    """Yield a line where all workers that each read an image of so many pixels have too little memory."""
    needed = worker_count() * pixels * READ_BYTES_A_PIXEL
    if needed > memory:
        yield (
            f"memory: {worker_count()} workers that read images of {pixels / 1e6:.0f} megapixels at once need about"
            f" {_gigabytes(needed)} GB and {_gigabytes(memory)} GB are free; set STUDY_WORKERS lower, or"
            " prepare.pixel_limit in params.yaml"
        )


def shortfalls(wanted: Needs, available: Needs) -> Iterable[str]:
    """Yield a line for each thing of which there is less, with what to lower."""
    memory, disk = available
    if wanted.memory > memory:
        yield (
            f"memory: the largest step needs about {_gigabytes(wanted.memory)} GB and {_gigabytes(memory)} GB are free;"
            " lower batch_size, prepare.image_size or augment.copies in params.yaml, or close other programs"
        )
    if wanted.disk > disk:
        yield (
            f"disk: the study writes about {_gigabytes(wanted.disk)} GB and {_gigabytes(disk)} GB are free here;"
            " make room (`make clean`, `dvc gc --workspace`), or lower prepare.image_size or augment.copies"
        )


def _gigabytes(number: float) -> str:
    return f"{number / GIGABYTE:.1f}"
