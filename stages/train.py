"""Stage train: train one network with one set of hyperparameters on one set of pictures."""

from functools import partial
from typing import Any

from pydantic import NonNegativeInt

from stages.lib import device
from stages.lib.checkpoints import Checkpoint, key_of
from stages.lib.command import run_stage
from stages.lib.files import read_json, write_csv, write_json
from stages.lib.networks import network_module
from stages.lib.params import read
from stages.lib.picture_sets import load_pictures
from stages.lib.pretrained import new_network
from stages.lib.runs import Run
from stages.lib.training import Epoch, Fit, Task, fit
from stages.lib.weights import Trained, save_weights


def main(network: str, hyperparameters: str, data: str) -> None:
    """Train one network with one set of hyperparameters on one set of pictures."""
    run, seed = Run(network, hyperparameters, data), read("seed", NonNegativeInt)
    settings = network_module(network).Settings(**read_json(f"data/hyperparameters/{network}/{hyperparameters}.json"))
    device.be_deterministic()
    device.keep_freed_memory()
    training, validation = (load_pictures(f"data/{name}", device.device()) for name in (data, "validation"))

    build = partial(new_network, network, settings, len(training.class_names), training.image_size)
    key = key_of([settings.model_dump(), seed], [f"data/{data}", "data/validation", f"data/pretrained/{network}"])
    checkpoint = Checkpoint(str(run), key)
    result = fit(build, Task(training, validation, settings, seed), str(run), checkpoint=checkpoint)
    trained = Trained(result.model, network, training.class_names, training.image_size)
    save_weights(f"data/trained/{run}/weights.safetensors", trained, settings.model_dump())
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
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "peak_memory_megabytes": device.peak_memory_megabytes(),
        "device": device.description(),
        "precision": str(device.precision()).removeprefix("torch."),
    }


if __name__ == "__main__":
    run_stage(main)
