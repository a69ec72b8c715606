"""A trained network as a classifier of image files: its weights, how images are prepared for it, and its answers."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.hardware.accelerator import has_accelerator
from stages.images.reading import ImageArray
from stages.networks.common.engine import Engine, Images
from stages.networks.common.weights import Metadata, metadata_of
from stages.prediction.inputs import Unreadable
from stages.runtime.errors import UserError

GRAPH = "graph.onnx"  # beside the weights of a run


class Prediction(NamedTuple):
    """The classes of an image, the most probable first; or why there are none."""

    path: str
    classes: tuple[tuple[str, float], ...] = ()  # names and probabilities
    is_none: bool = False  # no class is probable enough
    error: str = ""
    image: ImageArray | None = None


class Probabilities(Protocol):
    """What gives probabilities (n, classes) for images (n, size, size, 3)."""

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Return the probabilities."""


class Classifier(NamedTuple):
    """A trained network, ready to answer images that were prepared as its metadata says."""

    metadata: Metadata
    probabilities: Probabilities
    file: Path  # of the weights

    def predictions(
        self, chunks: Iterable[list[tuple[str, ImageArray | Unreadable]]], top: int
    ) -> Iterator[Prediction]:
        """Yield a prediction for each path, in order."""
        for chunk in chunks:
            images = [image for _, image in chunk if not isinstance(image, Unreadable)]
            found = iter(self.finite_probabilities(np.stack(images)) if images else ())
            for path, image in chunk:
                if isinstance(image, Unreadable):
                    yield Prediction(path, error=image.reason)
                else:
                    yield self._prediction(path, image, next(found), top)

    def finite_probabilities(self, images: Images) -> NDArray[np.float32]:
        """Return probabilities (n, classes). Raises UserError where weights are not finite."""
        found = self.probabilities(images)
        if not np.isfinite(found).all():
            raise UserError(f"{self.file}: its weights give no finite numbers; train it again")
        return found

    def _prediction(self, path: str, image: ImageArray, shares: NDArray[np.float32], top: int) -> Prediction:
        best = np.argsort(-shares, kind="stable")[:top]
        classes = tuple((self.metadata.class_names[label], float(shares[label])) for label in best)
        return Prediction(path, classes, bool(shares.max() < self.metadata.none_of_these_below), image=image)


def load_classifier(file: Path) -> Classifier:
    """Return the classifier in a file of weights: by its graph beside it on a CPU, else by torch.

    Raises UserError where the file is no network of this project's, or does not fit its graph.
    """
    metadata = metadata_of(file)
    if metadata is None:
        raise UserError(f"{file} is no network of this project's: it does not say for which classes")
    graph = file.with_name(GRAPH)
    if graph.is_file() and not has_accelerator():
        engine = Engine(graph)
        if engine.metadata() != metadata.as_json():
            raise UserError(f"{graph} and {file} are of different trainings; `dvc checkout` brings both of one")
        return Classifier(metadata, lambda images: engine.run(images, "probabilities")[0], file)
    return Classifier(metadata, _by_torch(file, metadata), file)


def _by_torch(file: Path, metadata: Metadata) -> Probabilities:
    """Return what gives probabilities by torch: on an accelerator, or where there is no graph."""
    import torch

    from stages.hardware import device
    from stages.networks.common.contract import network_named
    from stages.networks.common.prediction import normalised
    from stages.networks.common.weights import restore

    model = restore(file, network_named(metadata.network), device.device())

    def probabilities(images: Images) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = normalised(torch.from_numpy(images).to(device.device()), metadata.normalisation)
            return np.asarray(torch.softmax(model(batch).float() / metadata.temperature, 1).cpu())

    return probabilities
