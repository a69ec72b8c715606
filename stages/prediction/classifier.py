"""What a trained network says of photographs."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.hardware import device
from stages.images.reading import ImageArray
from stages.kernels.accelerate import accelerate
from stages.networks.common.image_set import ImageSet
from stages.networks.common.prediction import predict
from stages.networks.common.weights import Trained
from stages.prediction.inputs import Bad, Read
from stages.statistics.temperature import scaled_probabilities


class Classifier(NamedTuple):
    """A trained network, and how it is asked."""

    trained: Trained
    temperature: float = 1.0  # of its probabilities
    none_below: float = 0.0  # a probability, under which an image is none of its classes
    fast: bool = False  # in the precision of trainings, not in float32 as the stage evaluate


class Answer(NamedTuple):
    """The classes of a photograph, the most probable first; or why there are none."""

    path: str
    classes: tuple[tuple[str, float], ...] = ()  # names and probabilities
    is_none: bool = False  # of the classes, to all appearance
    bad: str = ""
    image: ImageArray | None = None


def in_low_precision(classifier: Classifier) -> Classifier:
    """Return a copy of a network that answers in the precision and with the layers of trainings, so less exactly."""
    model = accelerate(deepcopy(classifier.trained.model)).to(memory_format=torch.channels_last)
    return classifier._replace(trained=classifier.trained._replace(model=model), fast=True)


def answers(chunks: Iterable[list[tuple[str, Read]]], classifier: Classifier, top: int) -> Iterator[Answer]:
    """Yield an answer for each path, in order."""
    for chunk in chunks:
        read = [image for _, image in chunk if not isinstance(image, Bad)]
        named = iter(probabilities(classifier, read)) if read else iter(())
        for path, image in chunk:
            if isinstance(image, Bad):
                yield Answer(path, bad=image.reason)
            else:
                yield _answer(path, image, next(named), classifier, top)


def _answer(path: str, image: ImageArray, shares: np.ndarray, classifier: Classifier, top: int) -> Answer:
    best = np.argsort(-shares, kind="stable")[:top]
    classes = tuple((classifier.trained.class_names[label], float(shares[label])) for label in best)
    return Answer(path, classes, bool(shares.max() < classifier.none_below), image=image)


def probabilities(classifier: Classifier, images: list[ImageArray]) -> np.ndarray:
    """Return the probabilities (n, classes) of images (size, size, 3)."""
    with device.mixed_precision() if classifier.fast else nullcontext():
        logits = predict(classifier.trained.model, as_set(classifier, images))
    return scaled_probabilities(logits.double().numpy(), classifier.temperature)


def as_set(classifier: Classifier, images: list[ImageArray]) -> ImageSet:
    """Return images as a network takes them; of their classes nothing is known."""
    held: Tensor = torch.from_numpy(np.stack(images))
    labels = torch.zeros(len(images), dtype=torch.int64, device=device.device())
    return ImageSet(held, labels, classifier.trained.class_names, [], classifier.trained.normalisation)
