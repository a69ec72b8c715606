"""How well predicted probabilities name the classes of pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

TOP = 5


def scores(probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: list[str]) -> dict[str, Any]:
    """Return every quality of a run, from probabilities (N, classes) and true labels (N,).

    accuracy, top5_accuracy, macro_f1 and the accuracy of each class are fractions in [0, 1]; loss is the mean cross
    entropy in nats; confusion counts pictures, a row per true class and a column per predicted one; correct has a 1 for
    each picture that was predicted correctly and a 0 for every other, in the order of the shards. With five classes or
    fewer, the true one is always among the best five: top5_accuracy is 1.
    """
    classes = list(range(len(class_names)))
    predicted = probabilities.argmax(axis=1)
    confusion = metrics.confusion_matrix(labels, predicted, labels=classes)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    return {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "top5_accuracy": float((best == labels[:, None]).any(axis=1).mean()),
        "macro_f1": float(metrics.f1_score(labels, predicted, labels=classes, average="macro", zero_division=0.0)),
        "loss": float(metrics.log_loss(labels, probabilities, labels=classes)),
        "pictures": len(labels),
        "class_accuracy": dict(zip(class_names, (confusion.diagonal() / confusion.sum(axis=1)).tolist(), strict=True)),
        "confusion": confusion.tolist(),
        "correct": "".join("01"[one] for one in (predicted == labels).astype(int)),
    }
