"""The head of a frozen backbone, from its features to a trained network; without torch, and in seconds."""

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from stages.hardware.memory import peak_resident_megabytes
from stages.images.shards import preparation_of
from stages.networks.common import graph
from stages.networks.common.features import FeatureSet, read_features, with_copies
from stages.networks.common.settings import TrainingSettings
from stages.networks.common.starting_point import read_starting_point
from stages.networks.common.weights import Metadata
from stages.runtime.cores import available_cores
from stages.runtime.files import write_json
from stages.statistics.rejection import rejection_threshold
from stages.statistics.temperature import cross_entropies
from stages.training.copying import HISTORY, TIMING, WEIGHTS
from stages.training.head import CrossValidation, HeadSettings, assigned_folds, cross_validated, fit
from stages.training.history import Epoch, summary, write_history

MANY_FOLDS = 20
# of the settings that all networks share: the others say how weights are trained by steps, as those of a head are not
USED = ("weights", "input_size", "freeze", "flip_tta", "head_power", "head_shrinkage")
UNUSED = {*TrainingSettings.model_fields, "online_augmentation"} - {*USED}


class HeadData(NamedTuple):
    """Features (n, d) to fit a head on, averaged over images and their mirror images if asked for."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]  # (n,): an image is in one with its altered copies and all images of its group
    folds: NDArray[np.int64]  # (n,): a group is in one
    class_names: list[str]


def load_head_data(network: str, data: str, seed: int, *, flip_tta: bool) -> HeadData:
    """Return training and validation images' features together: cross-validation takes the place of a fixed split."""
    names = dict.fromkeys(["original", data, "validation"])
    images, *copies, validation = (read_features(f"data/features/{network}/{name}") for name in names)
    sets = [with_copies(images, *copies) if copies else images, validation]
    features = np.concatenate([views(each, flip_tta=flip_tta) for each in sets])
    labels = np.concatenate([each.labels for each in sets])
    numbers = np.cumsum(~np.concatenate([each.are_copies for each in sets])) - 1
    first_of: dict[str, int] = {}  # image of each group
    belongs = [group for each in sets for group in each.groups]
    together = [first_of.setdefault(group, at) if group else at for group, at in zip(belongs, numbers, strict=True)]
    groups = np.array(together)
    return HeadData(features, labels, groups, assigned_folds(labels, groups, seed=seed), sets[0].class_names)


def views(features: FeatureSet, *, flip_tta: bool) -> NDArray[np.float32]:
    """Return the features (n, d) of images, or their means with those of the mirror images."""
    return np.asarray((features.features + features.mirrored) / 2, np.float32) if flip_tta else features.features


def cross_validate(data: HeadData, settings: Sequence[HeadSettings]) -> list[CrossValidation]:
    """Return what each of some settings reaches out of fold, in their order."""
    powers, shrinkages = (tuple(dict.fromkeys(values)) for values in zip(*settings, strict=True))
    known = cross_validated(data.features, data.labels, len(data.class_names), data.folds, (powers, shrinkages))
    return [next(each for each in known if each.settings == wanted) for wanted in settings]


def held_out_logits(data: HeadData, settings: HeadSettings, scale: float) -> NDArray[np.float64]:
    """Return logits (n, classes), at a scale, of images that had no part in a fit, which had nearly all others.

    In few folds heads learn from so much less that their evidence is another than that of the final head.
    """
    folds = assigned_folds(data.labels, data.groups, MANY_FOLDS)
    (reached,) = cross_validate(data._replace(folds=folds), [settings])
    return reached.logits * (scale / reached.scale)


def write_head(network: str, values: dict[str, Any], data: HeadData, folder: Path, began: float) -> None:
    """Fit a head with settings from JSON, and write it with its backbone as a trained network, history and timing."""
    settings = HeadSettings(values["head_power"], values["head_shrinkage"])
    (reached,) = cross_validate(data, [settings])
    head = fit(data.features, data.labels, len(data.class_names), settings, reached.scale)
    start, backbone = read_starting_point(network), Path(f"data/weights/{network}")
    metadata = Metadata(
        network=network,
        settings={name: value for name, value in values.items() if name not in UNUSED},
        class_names=data.class_names,
        image_size=start.image_size,
        mean=start.mean,
        standard_deviation=start.standard_deviation,
        preparation=preparation_of("data/validation"),
        head_power=head.power,
        none_of_these_below=rejection_threshold(held_out_logits(data, settings, reached.scale)),
    )
    tensors = load_file(backbone / graph.WEIGHTS_FILE)
    # contiguous, for safetensors writes the memory of an array as it lies
    tensors |= {f"{start.head}weight": np.ascontiguousarray(head.weight), f"{start.head}bias": head.bias}
    (folder / WEIGHTS).write_bytes(save(tensors, {graph.METADATA: metadata.as_json()}))
    model = graph.with_head(onnx.load(backbone / "graph.onnx", load_external_data=False), start.head, head.power)
    bound = graph.finished(
        model, folder / WEIGHTS, metadata.as_json(), metadata.temperature, flip_tta=values["flip_tta"]
    )
    graph.save(bound, folder)
    loss = float(cross_entropies(reached.logits, data.labels).mean())
    fitted = head.logits(data.features).astype(np.float64)
    accuracy = float((fitted.argmax(axis=1) == data.labels).mean())
    fitted_loss = float(cross_entropies(fitted, data.labels).mean())
    history = [Epoch(1, 0.0, fitted_loss, accuracy, loss, reached.accuracy, loss)]
    write_history(folder / HISTORY, history)
    seconds = time.perf_counter() - began
    write_json(folder / TIMING, timing(history, seconds, len(data.labels), sum(each.size for each in tensors.values())))


def timing(history: list[Epoch], seconds: float, images: int, parameters: int) -> dict[str, Any]:
    """Return what the head took; the features' share is in data/features, where the stage report finds it."""
    return summary(history) | {
        "seconds": round(seconds, 3),
        "images_per_second": round(images / seconds, 1),
        "images": images,
        "parameters": parameters,
        "peak_memory_megabytes": peak_resident_megabytes(),
        "device": f"CPU, {available_cores()} threads",
        "precision": "float32",
        "libraries": f"Python {platform.python_version()}, onnxruntime {version('onnxruntime')}",
    }
