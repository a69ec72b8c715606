"""All images of a study as one network sees them: what the questions about the images are answered from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stages.images.shards import SPLITS, class_names, read_rows
from stages.networks.common.features import read_features
from stages.networks.common.runner import decoded_batches, inference_runner
from stages.networks.common.weights import Metadata
from stages.runtime.seeding import stream
from stages.statistics.whitening import Floats
from stages.training.head import HeadSettings, assigned_folds, cross_validated, fit

SPLIT_NAMES = tuple(SPLITS.values())  # in the order of the rows
TEST = SPLIT_NAMES.index("test")
MOST_FEATURES, MIXTURES = 4_096, 512


class FeatureTable(NamedTuple):
    """Features (N, D) of images and of their mirror images, and of each image its label, split, path and group."""

    features: NDArray[np.float32]
    mirrored: NDArray[np.float32]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    paths: list[str]
    groups: list[str]
    class_names: list[str]

    @property
    def training_rows(self) -> NDArray[np.int64]:
        """The rows (n,) that trained or chose: all but the test images."""
        return np.flatnonzero(self.splits != TEST)

    @property
    def test_rows(self) -> NDArray[np.int64]:
        """The rows (n,) of test images."""
        return np.flatnonzero(self.splits == TEST)

    def views(self, *, flip_tta: bool) -> Floats:
        """Return the features (N, D), or their means with those of the mirror images."""
        return (self.features + self.mirrored) / 2 if flip_tta else self.features


def backbone_features(network: str) -> FeatureTable:
    """Return the images as the frozen backbone of a network sees them, which never saw their labels."""
    sets = [read_features(f"data/features/{network}/{name}") for name in SPLITS]
    return FeatureTable(
        *randomly_projected(
            np.concatenate([each.features for each in sets]), np.concatenate([each.mirrored for each in sets])
        ),
        np.concatenate([each.labels for each in sets]),
        np.repeat(np.arange(len(sets)), [len(each.labels) for each in sets]),
        [path for each in sets for path in each.paths],
        [group for each in sets for group in each.groups],
        sets[0].class_names,
    )


def run_features(folder: Path, metadata: Metadata) -> FeatureTable:
    """Return the images as the last hidden layer of a trained network sees them, which learned from their labels."""
    runner, features, mirrored, rows, splits = inference_runner(folder), [], [], [], []
    for number, name in enumerate(SPLITS):
        for batch, images in decoded_batches(read_rows(f"data/{name}"), metadata.image_size):
            features += runner.run(images, "features")
            mirrored += runner.run(np.ascontiguousarray(images[:, :, ::-1]), "features")
            rows += [row._replace(encoded=b"") for row in batch]
            splits += [number] * len(batch)
    return FeatureTable(
        *randomly_projected(np.concatenate(features), np.concatenate(mirrored)),
        np.array([row.label for row in rows], np.int64),
        np.array(splits),
        [row.path for row in rows],
        [row.group for row in rows],
        class_names("data/original"),
    )


Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def randomly_projected(features: NDArray[np.float32], mirrored: NDArray[np.float32]) -> Pair:
    """Return features (n, d) and those of the mirror images; of more than MOST_FEATURES, random mixtures.

    As many as nearly keep all distances. What follows takes the cube of their number. Source: Johnson and
    Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space, 1984.
    """
    count = features.shape[1]
    if count <= MOST_FEATURES:
        return features, mirrored
    mixture = stream(0, "narrowed").standard_normal((count, MIXTURES), np.float32) / np.float32(np.sqrt(MIXTURES))
    return features @ mixture, mirrored @ mixture


class Heads(NamedTuple):
    """Heads on what a network sees, with the settings of its run, and how sure they are once fitted."""

    settings: HeadSettings
    classes: int
    scale: float

    def fitted_probabilities(self, features: Floats, labels: NDArray[np.int64], others: Floats) -> NDArray[np.float64]:
        """Return probabilities (m, classes) of others (m, D), by a head fitted to features (n, D) and labels (n,)."""
        head = fit(features, labels, self.classes, self.settings, self.scale)
        return np.asarray(softmax(head.logits(others).astype(np.float64), axis=1))


def out_of_fold_probabilities(
    table: FeatureTable, views: Floats, settings: HeadSettings, seed: int
) -> tuple[Floats, Heads]:
    """Return probabilities (N, classes) by heads that did not learn the image in question, and what fits such heads.

    Of training and validation images they are out of fold, images of a group together; of test images by a head
    fitted to all others.
    """
    rows, classes = table.training_rows, len(table.class_names)
    named = [table.groups[row] or f"\0{row}" for row in rows]
    groups = np.unique(named, return_inverse=True)[1]
    features, labels = views[rows], table.labels[rows]
    folds = assigned_folds(labels, groups, seed=seed)
    (reached,) = cross_validated(features, labels, classes, folds, ((settings.power,), (settings.shrinkage,)))
    heads = Heads(settings, classes, reached.scale)
    probabilities = np.empty((len(views), classes))
    probabilities[rows] = softmax(reached.logits, axis=1)
    probabilities[table.test_rows] = heads.fitted_probabilities(features, labels, views[table.test_rows])
    return probabilities, heads
