"""What a training leaves: weights that say all that prediction needs, the graph bound to them, history and timing."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from stages.hardware import device
from stages.images.shards import preparation_of
from stages.networks.common import graph
from stages.networks.common.prediction import predict
from stages.networks.common.weights import Metadata, save_weights
from stages.runtime.files import write_json
from stages.statistics.rejection import rejection_threshold
from stages.statistics.temperature import best_temperature
from stages.training.copying import HISTORY, TIMING, WEIGHTS
from stages.training.history import summary, write_history
from stages.training.loop import TrainingResult
from stages.training.state import Task


def hardware() -> tuple[str, str]:
    """Return what of the hardware decides about the bits of a training."""
    return device.device_type(), str(device.precision())


def write_training(task: Task, result: TrainingResult, folder: Path) -> None:
    """Write a training's weights, graph, history and timing into a folder."""
    metadata, settings = describe(task, result.model), task.config.settings
    save_weights(folder / WEIGHTS, result.model.state_dict(), metadata)
    plain = task.network.build(settings, len(metadata.class_names), metadata.image_size)
    exported = graph.export_graph(plain, task.network.head.rstrip("."), metadata.normalisation, metadata.image_size)
    written, temperature = metadata.as_json(), metadata.temperature
    graph.save(graph.finished(exported, folder / WEIGHTS, written, temperature, flip_tta=settings.flip_tta), folder)
    write_history(folder / HISTORY, result.history)
    write_json(folder / TIMING, timing(result, task))


def describe(task: Task, model: nn.Module) -> Metadata:
    """Return what a file of weights says of its network; the temperature is fitted on the validation images."""
    images, validation = task.training, task.validation
    logits, labels = predict(model, validation).double().numpy(), validation.labels.cpu().numpy()
    temperature = best_temperature(logits, labels)
    return Metadata(
        network=task.network.name,
        settings=task.config.settings.model_dump(),
        online_augmentation=task.config.online_augmentation.model_dump(),
        class_names=images.class_names,
        image_size=images.image_size,
        preparation=preparation_of("data/validation"),
        temperature=temperature,
        none_of_these_below=rejection_threshold(logits / temperature),
        **images.normalisation._asdict(),
    )


def timing(result: TrainingResult, task: Task) -> dict[str, Any]:
    """Return what the training took; images/s counts whole epochs, their validation included."""
    images = task.images_per_epoch()
    return summary(result.history) | {
        "seconds": round(result.seconds, 3),
        "images_per_second": round(len(result.history) * images / result.seconds, 1),
        "images": images,
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "peak_memory_megabytes": device.peak_memory_megabytes(),
        "device": device.description(),
        "precision": str(device.precision()).removeprefix("torch."),
        "libraries": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision")),
    }
