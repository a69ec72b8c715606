"""Stage evaluate: score a trained run on photographs it has never seen."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stages.lib import device
from stages.lib.calibration import calibration
from stages.lib.command import run_stage
from stages.lib.files import read_json, write_json
from stages.lib.picture_sets import PictureSet, load_pictures
from stages.lib.prediction import predict
from stages.lib.runs import Run
from stages.lib.scores import scores
from stages.lib.weights import Trained, restore


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Score a trained run on photographs it has never seen."""
    run = Run(network, hyperparameters, data, int(seed))
    trained = restore(f"data/trained/{run}/weights.safetensors", device.device())
    validation, test = (
        load_pictures(f"data/{name}", device.device(), trained.image_size) for name in ("validation", "test")
    )
    seen, unseen = ((logits_of(trained, pictures), pictures.labels.cpu().numpy()) for pictures in (validation, test))
    record = scores(softmax(unseen[0], axis=1), unseen[1], trained.class_names) | calibration(seen, unseen)
    write_json(f"metrics/runs/{run}.json", record)
    write_json(f"metrics/costs/{run}.json", read_json(f"data/trained/{run}/timing.json"))


def logits_of(trained: Trained, pictures: PictureSet) -> NDArray[np.float64]:
    """Return a network's logits (N, classes) for pictures."""
    return np.asarray(predict(trained.model, pictures).double().numpy())


if __name__ == "__main__":
    run_stage(main)
