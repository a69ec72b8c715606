"""Features made comparable: in directions that vary little, small differences count as much as large ones elsewhere."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]

POWER = 0.5  # features go through a signed power before, as into the heads of frozen backbones
SHRINKAGE = 0.5  # of the variances towards their mean: small ones are mostly noise


class Whitening(NamedTuple):
    """A linear map of features (n, d), of which similarity and distance are taken."""

    centre: NDArray[np.float32]  # (d,)
    matrix: NDArray[np.float32]  # (d, d)

    @classmethod
    def fit(cls, features: Floats) -> Self:
        """Return the one that these features ask for, regularised as in shrunk discriminant analysis.

        Source: Kessy, Lewin and Strimmer, Optimal whitening and decorrelation, 2018.
        """
        x = raised_to_power(features)
        centre = x.mean(axis=0)
        x -= centre
        variances, axes = np.linalg.eigh(x.T @ x / len(x))
        shrunk = (1 - SHRINKAGE) * np.maximum(variances, 0) + SHRINKAGE * max(float(variances.mean()), 0)
        matrix = axes / np.sqrt(np.maximum(shrunk, np.finfo(np.float32).tiny))
        return cls(centre.astype(np.float32), (matrix @ axes.T).astype(np.float32))

    def directions(self, features: Floats) -> NDArray[np.float32]:
        """Return whitened features (n, d) at length 1, or 0 where an image is like the mean of all."""
        x = (raised_to_power(features) - self.centre).astype(np.float32)
        x = np.where(np.abs(x) < 1e-6, 0, x) @ self.matrix
        lengths = np.linalg.norm(x, axis=1, keepdims=True)
        return np.asarray(x / np.where(lengths > 0, lengths, 1), np.float32)


def raised_to_power(features: Floats, power: float = POWER) -> NDArray[np.float64]:
    """Return sign(x) * |x| ** power of each feature, same shape."""
    x = np.asarray(features, np.float64)
    return x if power == 1 else np.sign(x) * (np.sqrt(np.abs(x)) if power == 0.5 else np.abs(x) ** power)
