"""The evaluation of one run of the study: its scores, and what it says of each image."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stages.evaluation.calibration import calibration
from stages.evaluation.examples import choose_examples, encode_heat_map, md5_of, write_predictions
from stages.evaluation.grad_cam import grad_cam
from stages.evaluation.metrics import scores
from stages.images.shards import read_rows
from stages.networks.common.image_set import ImageSet
from stages.networks.common.prediction import predict
from stages.networks.common.weights import Trained
from stages.runtime.files import atomic_folder, read_csv, write_json
from stages.statistics.temperature import scaled_probabilities


class Evaluation(NamedTuple):
    """What a trained network was found to be: its record, and by column what it says of test images and of examples."""

    record: dict[str, Any]
    predictions: dict[str, Sequence[Any]]
    examples: dict[str, Sequence[Any]]
    class_names: list[str]


def evaluated(trained: Trained, validation: ImageSet, test: ImageSet) -> Evaluation:
    """Score a trained network on test images, at the temperature that suits the validation images best."""
    seen, unseen = ((logits_of(trained, images), images.labels.cpu().numpy()) for images in (validation, test))
    record = scores(softmax(unseen[0], axis=1), unseen[1], trained.class_names) | calibration(seen, unseen)
    predictions: dict[str, Sequence[Any]] = {
        "path": test.paths,
        "label": list(unseen[1]),
        "logits": list(unseen[0].astype(np.float32)),
    }
    examples = examples_of(trained, test, scaled_probabilities(unseen[0], record["temperature"]))
    return Evaluation(record, predictions, examples, trained.class_names)


def write_evaluation(evaluation: Evaluation, run: str) -> None:
    """Write the predictions and the record of a run; the record names the examples, which the report shows."""
    names, record = {"class_names": evaluation.class_names}, evaluation.record
    with atomic_folder(f"data/predictions/{run}") as folder:
        described = names | {"temperature": record["temperature"]}
        write_predictions(folder / "predictions.parquet", evaluation.predictions, described)
        write_predictions(folder / "examples.parquet", evaluation.examples, names)
        digest = md5_of(folder / "examples.parquet")
    write_json(f"metrics/runs/{run}.json", record | {"examples": digest})


def history_of(file: str) -> dict[str, list[float]]:
    """Return accuracy and loss on validation after each epoch, so that the report needs no weights."""
    rows = read_csv(file)
    return {name: [float(row[f"validation_{name}"]) for row in rows] for name in ("accuracy", "loss")}


def examples_of(trained: Trained, test: ImageSet, probabilities: NDArray[np.float64]) -> dict[str, Sequence[Any]]:
    """Return the columns of the test images worth a look: what they are, what was said, and where it was seen."""
    labels = test.labels.cpu().numpy()
    examples = choose_examples(probabilities, labels)
    rows = [look.row for look in examples]
    predicted = probabilities[rows].argmax(axis=1)
    encoded = {index: row.encoded for index, row in enumerate(read_rows("data/test")) if index in set(rows)}
    maps: Iterable[Any] = grad_cam(trained.model, test.batch(rows)[0], predicted) if rows else []
    return {
        "path": [test.paths[row] for row in rows],
        "label": list(labels[rows]),
        "predicted": list(predicted),
        "probability": list(probabilities[rows].max(axis=1)),
        "why": [look.why for look in examples],
        "image": [encoded[row] for row in rows],
        "heat_map": [encode_heat_map(each) for each in maps],
    }


def logits_of(trained: Trained, images: ImageSet) -> NDArray[np.float64]:
    """Return a network's logits (N, classes) for images."""
    return np.asarray(predict(trained.model, images).double().numpy())
