"""The evaluation of one run of the study, from its files to its files."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stages.evaluation.calibration import calibration
from stages.evaluation.examples import choose_examples, encode_heat_map, md5_of, write_predictions
from stages.evaluation.grad_cam import grad_cam
from stages.evaluation.metrics import scores
from stages.hardware import device
from stages.images.shards import read_rows
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.common.prediction import predict
from stages.networks.common.weights import Trained, described, restore
from stages.runtime.files import atomic_folder, read_csv, write_json
from stages.runtime.runs import Run
from stages.statistics.temperature import scaled_probabilities


def evaluate(run: Run) -> None:
    """Score a trained run on photographs it has never seen, and keep what it says of each."""
    device.be_deterministic()
    device.keep_freed_memory()
    weights = f"data/trained/{run}/weights.safetensors"
    trained = restore(weights, network_named(run.network), device.device())
    validation, test = (
        load_images(f"data/{name}", device.device(), trained.image_size, trained.normalisation)
        for name in ("validation", "test")
    )
    seen, unseen = ((logits_of(trained, images), images.labels.cpu().numpy()) for images in (validation, test))
    record = scores(softmax(unseen[0], axis=1), unseen[1], trained.class_names) | calibration(seen, unseen)
    record["settings"] = {"image_size": trained.image_size, **described(weights)["settings"]}
    record["history"] = history_of(f"data/trained/{run}/history.csv")
    with atomic_folder(f"data/predictions/{run}") as folder:
        said = {"class_names": trained.class_names, "temperature": record["temperature"]}
        columns: dict[str, Sequence[Any]] = {
            "path": test.paths,
            "label": list(unseen[1]),
            "logits": list(unseen[0].astype(np.float32)),
        }
        write_predictions(folder / "predictions.parquet", columns, said)
        examples = examples_of(trained, test, scaled_probabilities(unseen[0], record["temperature"]))
        write_predictions(folder / "examples.parquet", examples, {"class_names": trained.class_names})
        record["examples"] = md5_of(folder / "examples.parquet")
    write_json(f"metrics/runs/{run}.json", record)


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
