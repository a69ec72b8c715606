"""How well predicted probabilities name the classes of images."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 5
LEAST = np.finfo(np.float64).eps  # of a probability in the loss, so that what was held impossible costs no infinity


def scores(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: list[str], groups: Sequence[str] = ()
) -> dict[str, Any]:
    """Return every quality of a run, from probabilities (N, classes), true labels (N,) and groups ("": none).

    accuracy, balanced_accuracy, top5_accuracy, macro_f1 and the accuracy of each class are fractions in [0, 1]; loss is
    the mean cross entropy in nats; labels, predicted and groups are the numbers of each image in the order of the
    shards, parted by blanks, groups "" where no images belong together. Runs are ranked by the balanced accuracy where
    a class has twice the images of another. With five classes or fewer, the true one is always among the best five:
    top5_accuracy is 1.
    """
    classes, predicted = len(class_names), probabilities.argmax(axis=1)
    correct = np.bincount(labels[predicted == labels], minlength=classes)
    of_class, named = (np.bincount(each, minlength=classes) for each in (labels, predicted))
    recall = correct / np.maximum(of_class, 1)
    of_true = np.take_along_axis(probabilities, labels[:, None], axis=1)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(recall[of_class > 0].mean()),
        "ranked_by": "balanced_accuracy" if np.ptp(of_class) * 2 >= of_class.max() else "accuracy",
        "top5_accuracy": float((best == labels[:, None]).any(axis=1).mean()),
        "macro_f1": float((2 * correct / np.maximum(of_class + named, 1)).mean()),
        "loss": float(-np.log(np.maximum(of_true, LEAST)).mean()),
        "images": len(labels),
        "class_accuracy": dict(zip(class_names, recall.tolist(), strict=True)),
        "labels": numbers(labels),
        "predicted": numbers(predicted),
        "groups": numbers(numbered(groups)),
    }


def numbers(values: Iterable[int]) -> str:
    """Return whole numbers parted by blanks: of many images a line that Git can keep."""
    return " ".join(map(str, values))


def numbered(groups: Sequence[str]) -> list[int]:
    """Return a number for each image, equal for those of one group; none where no image has a group."""
    if not any(groups):
        return []
    known: dict[str, int] = {}
    return [known.setdefault(group or f"\0{image}", len(known)) for image, group in enumerate(groups)]
