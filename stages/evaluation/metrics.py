"""How well predicted probabilities name the classes of images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 5
LEAST = np.finfo(np.float64).eps  # of a probability in the loss, so that what was held impossible costs no infinity


def scores(probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: list[str]) -> dict[str, Any]:
    """Return every quality of a run, from probabilities (N, classes) and true labels (N,).

    accuracy, top5_accuracy, macro_f1 and the accuracy of each class are fractions in [0, 1]; loss is the mean cross
    entropy in nats; confusion counts images, a row per true class and a column per predicted one; correct has a 1 for
    each image that was predicted correctly and a 0 for every other, in the order of the shards. With five classes or
    fewer, the true one is always among the best five: top5_accuracy is 1.
    """
    classes, predicted = len(class_names), probabilities.argmax(axis=1)
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    correct, shown, named = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    of_true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    return {
        "accuracy": float((predicted == labels).mean()),
        "top5_accuracy": float((best == labels[:, None]).any(axis=1).mean()),
        "macro_f1": float((2 * correct / np.maximum(shown + named, 1)).mean()),
        "loss": float(-np.log(np.maximum(of_true, LEAST)).mean()),
        "images": len(labels),
        "class_accuracy": dict(zip(class_names, (correct / shown).tolist(), strict=True)),
        "confusion": confusion.tolist(),
        "correct": "".join("01"[one] for one in (predicted == labels).astype(int)),
    }
