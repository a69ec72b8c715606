"""The training photographs that a network finds most like a photograph: what its answer rests on."""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stages.images.reading import ImageArray, decode
from stages.images.shards import class_names, read_rows, row_count
from stages.networks.common.features import FILE, read_features
from stages.networks.common.runner import Runner, decoded_batches
from stages.networks.common.weights import Metadata
from stages.statistics.whitening import Whitening

SHARDS = Path("data/original")
COUNT = 3


class Neighbour(NamedTuple):
    """A training image, and the class that it is of."""

    image: ImageArray
    class_name: str


class TrainingImages(NamedTuple):
    """The study's training images as a network sees them."""

    whitening: Whitening
    directions: NDArray[np.float32]  # (n, d)

    @classmethod
    def of(cls, runner: Runner, metadata: Metadata) -> Self | None:
        """Return them, from the features that embed has kept or by the network; None where there is no study."""
        if not SHARDS.is_dir():
            return None
        kept = Path(f"data/features/{metadata.network}/original")
        if (kept / FILE).is_file() and row_count(kept):  # else its backbone is not frozen
            features = read_features(kept).features
        else:
            batches = decoded_batches(read_rows(SHARDS), metadata.image_size)
            features = np.concatenate([runner.run(images, "features")[0] for _, images in batches])
        whitening = Whitening.fit(features)
        return cls(whitening, whitening.directions(features))

    def nearest(self, features: NDArray[np.float32]) -> list[Neighbour]:
        """Return those most like an image by its features (1, d), the most similar first."""
        (similarity,) = self.whitening.directions(features) @ self.directions.T
        order = np.argsort(-similarity, kind="stable")[:COUNT].tolist()
        rows, names = {at: row for at, row in enumerate(read_rows(SHARDS)) if at in order}, class_names(SHARDS)
        return [Neighbour(decode(rows[at].encoded), names[rows[at].label]) for at in order]
