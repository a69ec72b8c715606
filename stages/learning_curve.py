"""Stage learning_curve: train a network on parts of the training images, to see what more of them would bring."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from stages.hardware import device
from stages.inspection.learning_curve import SHARES, CurvePoint, enough, predicted, stratified
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.common.prediction import predict
from stages.networks.common.settings import config_from
from stages.networks.common.starting_point import read_starting_point
from stages.runtime.command import run_stage
from stages.runtime.config import read_section
from stages.runtime.errors import UserError
from stages.runtime.files import read_json, write_json
from stages.runtime.fingerprint import fingerprint
from stages.runtime.seeding import derived_seed, stream
from stages.training.checkpoint import FOLDER, Checkpoint
from stages.training.loop import DivergedError, fit
from stages.training.state import Task
from stages.training.writing import hardware

DRAWS = dict(zip((*SHARES, 1.0), (3, 3, 2, 1), strict=True))  # trainings on each share of the training images


def main(network: str) -> None:
    """Train a network with its default hyperparameters on parts of the training images, and score it on test images.

    Validation images are the same for all parts. Interrupted, it goes on after the last epoch.
    """
    seed, values = read_section("seed", NonNegativeInt), read_json(f"data/settings/{network}/training.json")
    chosen, start = network_named(network), read_starting_point(network)
    device.be_deterministic()
    device.keep_freed_memory()
    training, validation, test = (
        load_images(f"data/{name}", device.device(), start.image_size, start.normalisation)
        for name in ("original", "validation", "test")
    )
    task = Task(chosen, config_from(chosen.schema, values), training, validation, seed)
    folders = ["data/original", "data/validation", "data/test", f"data/weights/{network}"]
    curve: dict[str, Any] = {}
    if enough(training.labels.cpu().numpy()):
        points = list(points_of(task, test, fingerprint([network, values, seed], folders, hardware())))
        prediction = predicted(points, len(test))
        curve = {"points": [each._asdict() for each in points], "prediction": prediction._asdict()}
    write_json(f"data/hyperparameters/{network}/learning_curve.json", curve)
    shutil.rmtree(FOLDER / checkpoint_name(task), ignore_errors=True)


def points_of(task: Task, test: ImageSet, mark: str) -> Iterator[CurvePoint]:
    """Yield what a task's network reaches with each share of its training images."""
    labels = task.training.labels.cpu().numpy()
    for share, draws in DRAWS.items():
        accuracies = []
        for draw in range(draws):
            seed = derived_seed(task.seed, "learning curve", str(share), draw)
            rows = stratified(labels, share, stream(seed, "rows"))
            part = task._replace(training=task.training.subset(rows), seed=seed)
            accuracies.append(accuracy(part, test, f"{checkpoint_name(task)}/{100 * share:g}-{draw}", mark))
        yield CurvePoint(len(rows), accuracies)


def checkpoint_name(task: Task) -> str:
    """Return the name of the folder of checkpoints."""
    return f"learning-curve-{task.network.name}"


def accuracy(task: Task, test: ImageSet, name: str, mark: str) -> float:
    """Return the accuracy on test images of a task's network, once trained; it is kept under a name until all are.

    Raises UserError where the training diverges in its first epoch.
    """
    file = Path(FOLDER, f"{name}.json")
    known = read_json(file) if file.is_file() else {}
    if known.get("of") == mark:
        return float(known["accuracy"])
    checkpoint = Checkpoint(name, mark)
    try:
        result = fit(task, f"learning curve: {task.network.name}, {len(task.training)} images", checkpoint=checkpoint)
    except DivergedError as error:
        raise UserError(str(error)) from None
    found = predict(result.model, test).argmax(1) == test.labels.cpu()
    write_json(file, {"of": mark, "accuracy": found.double().mean().item()})
    checkpoint.remove()
    return found.double().mean().item()


if __name__ == "__main__":
    run_stage(main)
