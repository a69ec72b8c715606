"""Stage train: train one network with one set of hyperparameters on one set of pictures."""

from functools import partial
from typing import Any

from stages.lib import device
from stages.lib.checkpoints import Checkpoint, key_of
from stages.lib.command import run_stage
from stages.lib.files import read_json, write_csv, write_json
from stages.lib.hyperparameters import recipe
from stages.lib.networks import network_module
from stages.lib.picture_sets import load_pictures
from stages.lib.pretrained import input_size, new_network
from stages.lib.runs import Run
from stages.lib.training import Epoch, Fit, Task, fit
from stages.lib.weights import Trained, save_weights


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train one network with one set of hyperparameters on one set of pictures, from one seed."""
    run = Run(network, hyperparameters, data, int(seed))
    told = recipe(network, read_json(f"data/hyperparameters/{network}/{hyperparameters}.json"))
    device.be_deterministic()
    device.keep_freed_memory()
    size = input_size(network, told.settings)
    training, validation = (load_pictures(f"data/{name}", device.device(), size) for name in (data, "validation"))

    build = partial(new_network, network, told.settings, len(training.class_names), training.image_size)
    task = Task(training, validation, told, network_module(network).HEAD, run.seed)
    key = key_of([told.values(), run.seed], [f"data/{data}", "data/validation", f"data/pretrained/{network}"])
    checkpoint = Checkpoint(str(run), key)
    result = fit(build, task, str(run), checkpoint=checkpoint)
    trained = Trained(result.model, network, training.class_names, training.image_size)
    save_weights(f"data/trained/{run}/weights.safetensors", trained, told.settings.model_dump())
    history = (epoch._asdict() for epoch in result.history)
    write_csv(f"data/trained/{run}/history.csv", list(Epoch._fields), history)
    write_json(f"data/trained/{run}/timing.json", cost(result, len(training)))
    checkpoint.remove()


def cost(result: Fit, pictures: int) -> dict[str, Any]:
    """Return what the training took; images/s counts whole epochs, their validation included."""
    epochs = len(result.history)
    return {
        "seconds": round(result.seconds, 3),
        "images_per_second": round(epochs * pictures / result.seconds, 1),
        "pictures": pictures,
        "epochs": epochs,
        "best_epoch": result.best_epoch,
        "epochs_to_95_percent": first_epoch_near_best(result.history),
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "peak_memory_megabytes": device.peak_memory_megabytes(),
        "device": device.description(),
        "precision": str(device.precision()).removeprefix("torch."),
    }


def first_epoch_near_best(history: list[Epoch]) -> int:
    """Return the number of the first epoch with at least 95 % of the best validation accuracy: how fast it learns."""
    best = max(epoch.validation_accuracy for epoch in history)
    return next(epoch.epoch for epoch in history if epoch.validation_accuracy >= 0.95 * best)


if __name__ == "__main__":
    run_stage(main)
