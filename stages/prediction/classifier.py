"""A trained network as a classifier of image files: its weights, how images are prepared for it, and its answers."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.images.reading import ImageArray
from stages.networks.common.graph import WEIGHTS_FILE
from stages.networks.common.runner import Images, Runner, inference_runner
from stages.networks.common.weights import Metadata, required_metadata
from stages.prediction.inputs import Unreadable
from stages.runtime.errors import UserError
from stages.statistics.rejection import evidence


class Prediction(NamedTuple):
    """The classes of an image, the most probable first; or why there are none."""

    path: str
    classes: tuple[tuple[str, float], ...] = ()  # names and probabilities
    is_none: bool | None = None  # it is unlike anything that the network learned from; None: not asked, or not known
    error: str = ""
    image: ImageArray | None = None


class Classifier(NamedTuple):
    """A trained network, ready to answer images that were prepared as its metadata says."""

    metadata: Metadata
    runner: Runner
    file: Path  # of the weights

    def predictions(
        self, chunks: Iterable[list[tuple[str, ImageArray | Unreadable]]], top: int
    ) -> Iterator[Prediction]:
        """Yield a prediction for each path, in order."""
        for chunk in chunks:
            images = [image for _, image in chunk if not isinstance(image, Unreadable)]
            found = iter(zip(*self.finite_answers(np.stack(images)), strict=True) if images else ())
            for path, image in chunk:
                if isinstance(image, Unreadable):
                    yield Prediction(path, error=image.reason)
                else:
                    yield self._prediction(path, image, *next(found), top)

    def finite_answers(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return probabilities (n, classes), and whether each image is unlike anything that was learned from (n,).

        Raises UserError where weights are not finite.
        """
        probabilities, logits = self.runner.run(images, "probabilities", "logits")
        if not np.isfinite(probabilities).all():
            raise UserError(f"{self.file}: its weights give no finite numbers; train it again")
        least = self.metadata.none_of_these_below
        scaled = logits.astype(np.float64) / self.metadata.temperature
        return probabilities, evidence(scaled) < (-np.inf if least is None else least)

    def _prediction(
        self, path: str, image: ImageArray, shares: NDArray[np.float32], is_none: np.bool_, top: int
    ) -> Prediction:
        best = np.argsort(-shares, kind="stable")[:top]
        classes = tuple((self.metadata.class_names[label], float(shares[label])) for label in best)
        is_known = self.metadata.none_of_these_below is not None
        return Prediction(path, classes, bool(is_none) if is_known else None, image=image)


def load_classifier(file: Path) -> Classifier:
    """Return the classifier in a file of weights: by its graph beside it on a CPU, else by torch.

    Raises UserError where the file is no network of this project's, or does not fit its graph.
    """
    metadata = required_metadata(file)
    if file.name == WEIGHTS_FILE:
        return Classifier(metadata, inference_runner(file.parent), file)
    from stages.networks.common.torch_runner import TorchRunner  # torch, which takes seconds to import

    return Classifier(metadata, TorchRunner(file, metadata), file)
