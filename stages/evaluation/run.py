"""The evaluation of one run of the study, from its files to its files."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stages.evaluation.calibration import calibration
from stages.evaluation.examples import digest_of, png_of_map, worth_a_look, write_predictions
from stages.evaluation.grad_cam import heat_maps
from stages.evaluation.metrics import scores
from stages.hardware import device
from stages.images.shards import read_rows
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import PictureSet, load_pictures
from stages.networks.common.prediction import predict
from stages.networks.common.weights import Trained, described, restore
from stages.runtime.files import finished_folder, read_csv, write_json
from stages.runtime.runs import Run
from stages.statistics.temperature import at_temperature


def evaluate(run: Run) -> None:
    """Score a trained run on photographs it has never seen, and keep what it says of each."""
    device.be_deterministic()
    device.keep_freed_memory()
    weights = f"data/trained/{run}/weights.safetensors"
    trained = restore(weights, network_named(run.network), device.device())
    validation, test = (
        load_pictures(f"data/{name}", device.device(), trained.image_size, trained.normalisation)
        for name in ("validation", "test")
    )
    seen, unseen = ((logits_of(trained, pictures), pictures.labels.cpu().numpy()) for pictures in (validation, test))
    record = scores(softmax(unseen[0], axis=1), unseen[1], trained.class_names) | calibration(seen, unseen)
    record["settings"] = {"image_size": trained.image_size, **described(weights)["settings"]}
    record["history"] = history_of(f"data/trained/{run}/history.csv")
    with finished_folder(f"data/predictions/{run}") as folder:
        said = {"class_names": trained.class_names, "temperature": record["temperature"]}
        columns: dict[str, Sequence[Any]] = {
            "path": test.paths,
            "label": list(unseen[1]),
            "logits": list(unseen[0].astype(np.float32)),
        }
        write_predictions(folder / "predictions.parquet", columns, said)
        looks = looks_of(trained, test, at_temperature(unseen[0], record["temperature"]))
        write_predictions(folder / "looks.parquet", looks, {"class_names": trained.class_names})
        record["looks"] = digest_of(folder / "looks.parquet")
    write_json(f"metrics/runs/{run}.json", record)


def history_of(file: str) -> dict[str, list[float]]:
    """Return accuracy and loss on validation after each epoch, so that the report needs no weights."""
    rows = read_csv(file)
    return {name: [float(row[f"validation_{name}"]) for row in rows] for name in ("accuracy", "loss")}


def looks_of(trained: Trained, test: PictureSet, probabilities: NDArray[np.float64]) -> dict[str, Sequence[Any]]:
    """Return the columns of the test pictures worth a look: what they are, what was said, and where it was seen."""
    labels = test.labels.cpu().numpy()
    looks = worth_a_look(probabilities, labels)
    rows = [look.row for look in looks]
    predicted = probabilities[rows].argmax(axis=1)
    encoded = {index: row.encoded for index, row in enumerate(read_rows("data/test")) if index in set(rows)}
    maps: Iterable[Any] = heat_maps(trained.model, test.batch(rows)[0], predicted) if rows else []
    return {
        "path": [test.paths[row] for row in rows],
        "label": list(labels[rows]),
        "predicted": list(predicted),
        "probability": list(probabilities[rows].max(axis=1)),
        "why": [look.why for look in looks],
        "picture": [encoded[row] for row in rows],
        "heat_map": [png_of_map(each) for each in maps],
    }


def logits_of(trained: Trained, pictures: PictureSet) -> NDArray[np.float64]:
    """Return a network's logits (N, classes) for pictures."""
    return np.asarray(predict(trained.model, pictures).double().numpy())
