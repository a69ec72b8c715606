"""A map of images: features in two dimensions, so that images that a network finds alike lie together."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import coo_array, csr_array
from scipy.spatial.distance import cdist

from stages.statistics.whitening import Floats, raised_to_power

NEIGHBOURS = 15  # of each image that are to lie near it
DIMENSIONS = 50  # the strongest, in which neighbours are looked for
REPULSION = 150  # of an image by all others, beside its attraction by each neighbour
SAMPLED = 64  # images, drawn anew for each step, from which all others are pushed away
STEPS = 300
MOST_IMAGES = 10_000  # for more, the two strongest dimensions are taken: neighbours take the square of their number
LONGEST_STEP = 4.0
NEGLIGIBLE = 1e-6  # distance from the mean of features: what rounding leaves of images that are all the same
BLOCK = 1024


def positions(features: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a place (n, 2) for each image, in units of the widest extent: from -1 to 1, the same for the same draw.

    Neighbours attract each other, images drawn at random repel each other, by the same heavy-tailed kernel, from the
    two strongest dimensions on. Source: McInnes, Healy and Melville, UMAP, 2018; as batches with few draws: Damrich,
    Böhm, Hamprecht and Kobak, From t-SNE to UMAP with contrastive learning, 2023.
    """
    strongest = _strongest(features)
    places = strongest[:, :2].copy()
    extent = float(np.abs(places).max(initial=0))
    if not extent:
        return np.zeros((len(features), 2))
    if NEIGHBOURS < len(features) <= MOST_IMAGES:
        places *= 10 / extent
        places = _settled(places, _graph(strongest), rng)
    places -= (places.max(axis=0) + places.min(axis=0)) / 2
    return np.asarray(np.round(places / np.abs(places).max(), 3))


def _strongest(features: Floats) -> NDArray[np.float64]:
    """Return images (n, 50 or less, at least 2) in the dimensions of the largest variance."""
    x = raised_to_power(features)
    x -= x.mean(axis=0)
    x[np.abs(x) < NEGLIGIBLE] = 0
    size = x.shape[1]
    _, axes = eigh(x.T @ x, subset_by_index=[max(0, size - DIMENSIONS), size - 1])
    axes = axes[:, ::-1] * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])[::-1]
    return np.pad(x @ axes, ((0, 0), (0, max(0, 2 - axes.shape[1]))))  # the signs are else as the library pleases


def _graph(x: NDArray[np.float64]) -> csr_array:
    """Return symmetric weights (n, n), 1 / NEIGHBOURS for each of the nearest of an image, halved where one-sided."""
    squares, rows, nearest = (x**2).sum(axis=1), np.arange(len(x)), []
    for start in range(0, len(x), BLOCK):
        distance = squares - 2 * x[start : start + BLOCK] @ x.T
        distance[np.arange(len(distance)), rows[start : start + BLOCK]] = np.inf
        nearest.append(np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS])
    pairs = (np.repeat(rows, NEIGHBOURS), np.concatenate(nearest).ravel())
    directed = coo_array((np.full(len(pairs[0]), 0.5), pairs), (len(x), len(x))).tocsr()
    return csr_array(directed + directed.T)


def _settled(places: NDArray[np.float64], graph: csr_array, rng: np.random.Generator) -> NDArray[np.float64]:
    edges, starts = graph.tocoo(), graph.indptr[:-1]
    for step in range(STEPS):
        towards = places[edges.col] - places[edges.row]
        pull = np.add.reduceat(towards * (edges.data / (1 + (towards**2).sum(axis=1)))[:, None], starts)
        sample = places[rng.integers(len(places), size=SAMPLED)]
        squares = cdist(places, sample, "sqeuclidean")
        weight = 1 / ((0.1 + squares) * (1 + squares))
        push = places * weight.sum(axis=1, keepdims=True) - weight @ sample
        move = 2 * (pull + push * REPULSION / SAMPLED)
        places += (1 - step / STEPS) * np.clip(move, -LONGEST_STEP, LONGEST_STEP)
    return places
