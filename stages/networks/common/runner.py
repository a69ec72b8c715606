"""Trained networks answer images: by ONNX Runtime on a CPU, in float32, without torch.

On two cores it is as fast in float32 as torch in bfloat16, and its answers are those of torch to six digits.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from stages.hardware.accelerator import has_accelerator
from stages.images.preparation import at_size
from stages.images.reading import ImageArray, decode
from stages.images.shards import Row, read_rows
from stages.networks.common.graph import METADATA, WEIGHTS_FILE
from stages.networks.common.weights import required_metadata
from stages.runtime.cores import available_cores
from stages.runtime.errors import UserError

BATCH_SIZE = 32  # images; larger batches are no faster and take more memory
CACHED_PIXELS = (
    2 * 224**2
)  # of the images that a core answers at a time; measured with five networks of 64 to 224 pixels
MOST_IMAGES = 16  # likewise, however small they are: more would leave cores without work
Item = TypeVar("Item")
Images = NDArray[np.uint8]  # (n, size, size, 3), RGB


class Outputs(NamedTuple):
    """The logits (n, classes) that a network gives for images; of each its label, path and group ("": none)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    paths: list[str]
    groups: list[str]


class Runner(Protocol):
    """What gives the outputs of a network: features, logits, probabilities."""

    def run(self, images: Images, *names: str) -> list[NDArray[np.float32]]:
        """Return the named outputs for images (n, size, size, 3)."""


class OnnxRunner:
    """An ONNX graph of networks/common/graph.py, ready to run. The same images give the same bits on one machine.

    Each core answers a few images at a time, whose intermediate values its cache holds: up to 1.4 times as fast as all
    cores on one batch.
    """

    def __init__(self, model: Path | onnx.ModelProto) -> None:
        self.model = model
        self.cores = available_cores()

    @cached_property
    def session(self) -> object:
        """The session of ONNX Runtime in which each call takes one core. Raises UserError where a file is damaged."""
        return self._session(1)

    @cached_property
    def session_of_all_cores(self) -> object:
        """The one in which a call takes all cores: for fewer images than there are cores."""
        return self._session(self.cores)

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """A thread for each core: while it computes, ONNX Runtime holds no lock of Python's."""
        return ThreadPoolExecutor(self.cores)

    def _session(self, threads: int) -> object:
        import onnxruntime  # takes a moment

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding threads need the cores
        try:
            if isinstance(self.model, Path):
                # read here: ONNX Runtime follows no link out of a folder, as DVC makes them with cache.type: symlink
                source, weights = self.model.read_bytes(), self.model.with_name(WEIGHTS_FILE).read_bytes()
                options.add_external_initializers_from_files_in_memory([WEIGHTS_FILE], [weights], [len(weights)])
            else:
                source = self.model.SerializeToString()
            return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            if not isinstance(self.model, Path):
                raise
            reason = " ".join(str(error).split())[-200:]
            raise UserError(f"{self.model} or its weights are damaged; `dvc checkout` brings them ({reason})") from None

    def metadata(self) -> str:
        """Return what the graph says of its network, as JSON; "" where it says nothing."""
        model = onnx.load(self.model, load_external_data=False) if isinstance(self.model, Path) else self.model
        return next((entry.value for entry in model.metadata_props if entry.key == METADATA), "")

    def output_names(self) -> list[str]:
        """Return the names of all outputs."""
        return [output.name for output in self.session.get_outputs()]  # type: ignore[attr-defined]

    def run(self, images: Images, *names: str) -> list[NDArray[np.float32]]:
        """Return the named outputs for images (n, size, size, 3)."""
        started = "session" in vars(self)
        session: Any = self.session if started or len(images) >= self.cores else self.session_of_all_cores
        count = min(MOST_IMAGES, max(1, CACHED_PIXELS // (images.shape[1] * images.shape[2])))
        parts = [images[start : start + count] for start in range(0, len(images), count)]
        if len(parts) < 2:
            return list(session.run(list(names), {"images": images}))
        found = self.pool.map(lambda part: session.run(list(names), {"images": part}), parts)
        return [np.concatenate(outputs) for outputs in zip(*found, strict=True)]


def inference_runner(folder: Path) -> Runner:
    """Return what answers for the trained network in a folder: its graph or, where there is an accelerator, torch.

    Raises UserError where weights and graph are of different trainings.
    """
    metadata = required_metadata(folder / WEIGHTS_FILE)
    if has_accelerator() or not (folder / "graph.onnx").is_file():
        from stages.networks.common.torch_runner import TorchRunner  # torch, which takes seconds to import

        return TorchRunner(folder / WEIGHTS_FILE, metadata)
    runner = OnnxRunner(folder / "graph.onnx")
    if runner.metadata() != metadata.as_json():
        raise UserError(f"{folder}: weights and graph are of different trainings; `dvc checkout` brings both of one")
    return runner


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


def outputs_for(runner: Runner, folder: str | Path, size: int) -> Outputs:
    """Return a network's outputs for all images of a folder of shards, in their order."""
    logits, rows = [], []
    for batch, images in decoded_batches(read_rows(folder), size):
        logits.append(runner.run(images, "logits")[0])
        rows += [row._replace(encoded=b"") for row in batch]
    labels = np.array([row.label for row in rows], np.int64)
    return Outputs(np.concatenate(logits), labels, [row.path for row in rows], [row.group for row in rows])
