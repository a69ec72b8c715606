"""What a trained network says of photographs."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.hardware import device
from stages.images.reading import Picture
from stages.kernels.accelerate import with_faster_layers
from stages.networks.common.image_set import PictureSet
from stages.networks.common.prediction import predict
from stages.networks.common.weights import Trained
from stages.prediction.inputs import Bad, Read
from stages.statistics.temperature import at_temperature


class Knowing(NamedTuple):
    """A trained network, and how it is asked."""

    trained: Trained
    temperature: float = 1.0  # of its probabilities
    none_below: float = 0.0  # a probability, under which a picture is none of its classes
    fast: bool = False  # in the precision of trainings, not in float32 as the stage evaluate


class Answer(NamedTuple):
    """The classes of a photograph, the most probable first; or why there are none."""

    path: str
    classes: tuple[tuple[str, float], ...] = ()  # names and probabilities
    is_none: bool = False  # of the classes, to all appearance
    bad: str = ""
    picture: Picture | None = None


def made_fast(knowing: Knowing) -> Knowing:
    """Return a copy of a network that answers in the precision and with the layers of trainings, so less exactly."""
    model = with_faster_layers(deepcopy(knowing.trained.model)).to(memory_format=torch.channels_last)
    return knowing._replace(trained=knowing.trained._replace(model=model), fast=True)


def answers(chunks: Iterable[list[tuple[str, Read]]], knowing: Knowing, top: int) -> Iterator[Answer]:
    """Yield an answer for each path, in order."""
    for chunk in chunks:
        read = [picture for _, picture in chunk if not isinstance(picture, Bad)]
        named = iter(probabilities(knowing, read)) if read else iter(())
        for path, picture in chunk:
            if isinstance(picture, Bad):
                yield Answer(path, bad=picture.reason)
            else:
                yield _answer(path, picture, next(named), knowing, top)


def _answer(path: str, picture: Picture, shares: np.ndarray, knowing: Knowing, top: int) -> Answer:
    best = np.argsort(-shares, kind="stable")[:top]
    classes = tuple((knowing.trained.class_names[label], float(shares[label])) for label in best)
    return Answer(path, classes, bool(shares.max() < knowing.none_below), picture=picture)


def probabilities(knowing: Knowing, pictures: list[Picture]) -> np.ndarray:
    """Return the probabilities (n, classes) of pictures (size, size, 3)."""
    with device.mixed_precision() if knowing.fast else nullcontext():
        logits = predict(knowing.trained.model, as_set(knowing, pictures))
    return at_temperature(logits.double().numpy(), knowing.temperature)


def as_set(knowing: Knowing, pictures: list[Picture]) -> PictureSet:
    """Return pictures as a network takes them; of their classes nothing is known."""
    held: Tensor = torch.from_numpy(np.stack(pictures))
    labels = torch.zeros(len(pictures), dtype=torch.int64, device=device.device())
    return PictureSet(held, labels, knowing.trained.class_names, [], knowing.trained.normalisation)
