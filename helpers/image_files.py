"""JPEG files for measurements: clouds of colour with some noise, of the bytes that photographs of their size have."""

from pathlib import Path

import cv2
import numpy as np

from stages.runtime.parallel import parallel_map


def write_jpeg_images(folder: Path, count: int, size: int, classes: int = 20) -> None:
    """Write so many JPEG files of `size` pixels a side into folder/class_00/, folder/class_01/ and so on in turn."""
    for label in range(classes):
        (folder / f"class_{label:02}").mkdir(parents=True)
    items = [(folder / f"class_{number % classes:02}/{number:06}.jpg", number, size) for number in range(count)]
    for _ in parallel_map(write_jpeg_image, items, "make"):
        pass


def write_jpeg_image(item: tuple[Path, int, int]) -> None:
    """Write one image, drawn from its number."""
    path, number, size = item
    cv2.setNumThreads(0)
    rng = np.random.default_rng(number)
    clouds = cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    noisy = cv2.add(clouds, rng.integers(0, 25, clouds.shape, np.uint8))
    cv2.imwrite(str(path), noisy)
