"""Which test images a person should look at, to see what a network takes for what."""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.runtime.files import atomic_file

MISTAKES = 12  # the most confident ones
HARD_CLASSES, OF_EACH = 6, 2
MISTAKE, HARD_CLASS = "confident mistake", "hard class"
MAP_SIDE = 64  # pixels of a heat map as it is kept


class Example(NamedTuple):
    """A row of the test images, and why it is worth a look."""

    row: int
    why: str


def choose_examples(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Example]:
    """Choose among test images with probabilities (N, classes) and true labels (N,).

    First the mistakes that the network is surest of. Then, of the classes of which it is right least often and not
    always, those images that it is least sure to be of the true class. No image comes twice.
    """
    predicted = probabilities.argmax(axis=1)
    sure = np.argsort(-probabilities.max(axis=1), kind="stable")
    examples = [Example(int(row), MISTAKE) for row in sure if predicted[row] != labels[row]][:MISTAKES]
    seen = {look.row for look in examples}
    correct = {label: float((predicted[labels == label] == label).mean()) for label in np.unique(labels)}
    hard = sorted((label for label in correct if correct[label] < 1), key=lambda label: correct[label])
    pairs = (unseen[:OF_EACH] for label in hard if (unseen := _doubtful(probabilities, labels, label, seen)))
    return examples + [Example(row, HARD_CLASS) for rows in islice(pairs, HARD_CLASSES) for row in rows]


def _doubtful(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], label: int, seen: Collection[int]
) -> list[int]:
    """Return the rows of a class that are not among those seen, the least probable first."""
    order = np.argsort(probabilities[:, label], kind="stable")
    return [int(row) for row in order if labels[row] == label and row not in seen]


def write_examples(file: str, columns: Mapping[str, Sequence[Any]], class_names: Sequence[str]) -> None:
    """Write a row for each example as Parquet; the names of the classes stand in the file's metadata, as JSON."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    metadata = {"study": json.dumps({"class_names": list(class_names)}, ensure_ascii=False)}
    with atomic_file(file) as unfinished:
        pq.write_table(table.replace_schema_metadata(metadata), unfinished, compression="zstd")


def encode_heat_map(heat_map: NDArray[np.float32]) -> bytes:
    """Return a heat map (h, w), 0 to 1, as a grey PNG of 64 x 64 pixels; between its parts it is interpolated."""
    grown = cv2.resize(heat_map, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".png", (grown.clip(0, 1) * 255).round().astype(np.uint8))[1])
