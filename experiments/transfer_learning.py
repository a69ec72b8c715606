"""What weights that were trained on other classes are worth, against random ones with the same settings and epochs.

    python -m experiments.transfer_learning own_cnn 1,2,3 36

In a study that has been prepared: trains the network of params.yaml on the first half of the classes, for 36 epochs
here, keeps it as a file of weights as `make weights` does, and trains on the other half from that file and from random
weights, as params.yaml says. Prints the accuracy on the test images of the second half, mean over seeds.
"""

import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from stages.commands.check import settings_of
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.common.prediction import predict
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.networks.common.weights import Trained, save_weights
from stages.reporting.markdown import percent
from stages.runtime.config import read_section
from stages.training.loop import fit
from stages.training.state import Task


class Half(NamedTuple):
    """The images of half of the classes."""

    training: ImageSet
    validation: ImageSet
    test: ImageSet


class TrainingPlan(NamedTuple):
    """A training configuration and the images to train on."""

    config: TrainingConfig
    half: Half


def main(network: str, seeds: list[int], epochs: int) -> None:
    """Compare both starts for each seed; the weights come from a training of so many epochs."""
    device.be_deterministic()
    device.keep_freed_memory()
    base = TrainingConfig(settings_of(network_named(network)), read_section("online_augmentation", OnlineAugmentation))
    names = load_images("data/test", device.device()).class_names
    halves = [half_of(range(start, start + len(names) // 2)) for start in (0, len(names) // 2)]
    longer = base._replace(settings=base.settings.model_copy(update={"epochs": epochs}))
    before, after = TrainingPlan(longer, halves[0]), TrainingPlan(base, halves[1])
    found = zip(*(compared(network, before, after, seed) for seed in seeds), strict=True)
    for name, accuracies in zip(("random weights", "weights of the other classes"), found, strict=True):
        each = ", ".join(map(percent, accuracies))
        print(f"{network} from {name}: {percent(statistics.mean(accuracies))} ({each})")


def compared(network: str, before: TrainingPlan, after: TrainingPlan, seed: int) -> tuple[float, float]:
    """Return the accuracy that training `after` reaches from random weights, and from those of training `before`."""
    path = Path(f"data/pretrained/{network}/transfer-benchmark.safetensors")
    try:
        model = trained(network, before, seed)
        images = before.half.test
        given = Trained(model, images.class_names, images.image_size, images.normalisation)
        save_weights(path, given, network, before.config.settings.model_dump())
        settings = after.config.settings.model_copy(update={"weights": str(path)})
        started = after._replace(config=after.config._replace(settings=settings))
        return accuracy(trained(network, after, seed), after.half), accuracy(
            trained(network, started, seed), after.half
        )
    finally:
        path.unlink(missing_ok=True)


def half_of(classes: range) -> Half:
    """Return the images of some classes, which are numbered from 0 anew."""
    return Half(
        *(only(load_images(f"data/{name}", device.device()), classes) for name in ("original", "validation", "test"))
    )


def only(images: ImageSet, classes: range) -> ImageSet:
    """Return the images of some classes."""
    rows = torch.isin(images.labels, torch.tensor(list(classes), device=images.labels.device))
    paths = [path for path, kept in zip(images.paths, rows.tolist(), strict=True) if kept]
    names = images.class_names[classes.start : classes.stop]
    return ImageSet(images.pixels[rows], images.labels[rows] - classes.start, names, paths)


def trained(network: str, plan: TrainingPlan, seed: int) -> torch.nn.Module:
    """Return the network after a training."""
    (config, half), names = plan, plan.half.training.class_names
    task = Task(network_named(network), config, half.training, half.validation, seed)
    return fit(task, f"{len(names)} classes").model


def accuracy(model: torch.nn.Module, half: Half) -> float:
    """Return the share of test images that a network predicts correctly."""
    return (predict(model, half.test).argmax(1) == half.test.labels.cpu()).double().mean().item()


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2].split(",")], int(sys.argv[3]))
