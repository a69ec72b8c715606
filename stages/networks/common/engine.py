"""Trained networks answer images: by ONNX Runtime on a CPU, in float32, without torch.

On two cores it is as fast in float32 as torch in bfloat16, and its answers are those of torch to six digits.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from stages.images.preparation import at_size
from stages.images.reading import ImageArray, decode
from stages.images.shards import Row, read_rows
from stages.networks.common.graph import METADATA
from stages.runtime.cores import available_cores

BATCH_SIZE = 32  # images; larger batches are no faster and take more memory
Item = TypeVar("Item")
Images = NDArray[np.uint8]  # (n, size, size, 3), RGB


class Outputs(NamedTuple):
    """What a network gives for images: the head's input (n, d), and logits (n, classes), as float32."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]


class Engine:
    """An ONNX graph of networks/common/graph.py, ready to run. The same images give the same bits on one machine."""

    def __init__(self, model: Path | onnx.ModelProto) -> None:
        self.model = model

    @cached_property
    def session(self) -> object:
        """The session of ONNX Runtime, which takes a moment to start."""
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding threads need the cores
        source = str(self.model) if isinstance(self.model, Path) else self.model.SerializeToString()
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def metadata(self) -> str:
        """Return what the graph says of its network, as JSON; "" where it says nothing."""
        model = onnx.load(self.model, load_external_data=False) if isinstance(self.model, Path) else self.model
        return next((entry.value for entry in model.metadata_props if entry.key == METADATA), "")

    def run(self, images: Images, *names: str) -> list[NDArray[np.float32]]:
        """Return the named outputs for images (n, size, size, 3)."""
        found: list[NDArray[np.float32]] = self.session.run(list(names), {"images": images})  # type: ignore[attr-defined]
        return found


def decoded_batches(rows: Iterable[Row], size: int) -> Iterator[tuple[list[Row], Images]]:
    """Yield rows of shards, BATCH_SIZE at a time, with their images (n, size, size, 3).

    While the caller works on one batch, threads decode and resize the next: OpenCV does so outside Python's lock.
    """
    cv2.setNumThreads(1)

    yield from prefetched(rows, lambda row: at_size(decode(row.encoded), size))


def prefetched(items: Iterable[Item], read: Callable[[Item], ImageArray]) -> Iterator[tuple[list[Item], Images]]:
    """Yield items in batches with what `read` makes of each, the next batch being read meanwhile."""
    remaining = iter(items)
    with ThreadPoolExecutor(available_cores()) as threads:
        batches = iter(lambda: list(islice(remaining, BATCH_SIZE)), [])
        waiting = [(batch, [threads.submit(read, item) for item in batch]) for batch in islice(batches, 2)]
        while waiting:
            batch, futures = waiting.pop(0)
            waiting += [(new, [threads.submit(read, item) for item in new]) for new in islice(batches, 1)]
            yield batch, np.stack([future.result() for future in futures])


def outputs_for(engine: Engine, folder: str | Path, size: int) -> Outputs:
    """Return a network's outputs for all images of a folder of shards, in their order."""
    parts = [engine.run(images, "features", "logits") for _, images in decoded_batches(read_rows(folder), size)]
    return Outputs(*(np.concatenate(each) for each in zip(*parts, strict=True)))
