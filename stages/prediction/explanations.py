"""Photographs with what an answer rests on: where the class was seen, and the training photographs most like it."""

import os
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from stages.explanation.grad_cam import grad_cam
from stages.hardware import device
from stages.images.reading import ImageArray, resized
from stages.networks.common.contract import network_named
from stages.networks.common.prediction import normalised
from stages.networks.common.weights import restore
from stages.prediction.classifier import Classifier, Prediction
from stages.prediction.nearest import COUNT, TrainingImages
from stages.runtime.files import atomic_file
from stages.runtime.names import printable

MIN_SIDE = 384  # pixels, so that there is something to see
HEAT_MAP_OPACITY = 0.5
CAPTION_HEIGHT, CAPTION_GAP = 20, 4  # pixels
FONT_SIZES = range(14, 7, -1)  # pixels, the largest first
NAME_BYTES = 120  # of an image's name that its file begins with: a name may have 255, with what stands around it


class Explainer:
    """Writes where a network looked, and what it has learned from, as PNG; by torch, for Grad-CAM takes gradients."""

    def __init__(self, classifier: Classifier) -> None:
        self.metadata, self.runner = classifier.metadata, classifier.runner
        self.model: nn.Module = restore(classifier.file, network_named(self.metadata.network), device.device())
        self.training = TrainingImages.of(self.runner, self.metadata)

    def write(self, folder: Path, number: int, prediction: Prediction) -> Path:
        """Write a prediction's image with the heat map of its most probable class below its name; return the file.

        Below stand the nearest training photographs with their classes, where the study is there.
        """
        image = prediction.image
        if image is None:
            raise ValueError(f"{prediction.path} was not answered")
        batch = normalised(torch.from_numpy(image[None]).to(device.device()), self.metadata.normalisation)
        label = self.metadata.class_names.index(prediction.classes[0][0])
        (heat_map,) = grad_cam(self.model, batch, [label])
        side = max(MIN_SIDE, len(image))
        enlarged = cv2.resize(image, (side, side), interpolation=cv2.INTER_LANCZOS4)
        grey = (cv2.resize(heat_map, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)
        coloured = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)
        bgr = cv2.cvtColor(enlarged, cv2.COLOR_RGB2BGR)
        shown = cv2.addWeighted(bgr, 1 - HEAT_MAP_OPACITY, coloured, HEAT_MAP_OPACITY, 0)
        name, probability = prediction.classes[0]
        shown = np.concatenate(
            [_captions([f"{name} {100 * probability:.1f} %; yellow: what spoke for it"], side), shown]
        )
        if self.training:
            (features,) = self.runner.run(image[None], "features")
            neighbours = self.training.nearest(features)
            shown = np.concatenate([shown, _captions(["the most similar training images:"], side)])
            shown = np.concatenate([shown, _row([one.image for one in neighbours], side)])
            shown = np.concatenate([shown, _captions([one.class_name for one in neighbours], side)])
        stem = os.fsencode(Path(prediction.path).stem)[:NAME_BYTES].decode(errors="ignore")
        file = folder / f"{number:05}-{stem}.png"
        with atomic_file(file) as unfinished:
            unfinished.write_bytes(bytes(cv2.imencode(".png", shown)[1]))
        return file


def _captions(texts: list[str], width: int) -> ImageArray:
    """Return texts side by side, white on black: small where they are long, cut off where they are longer still."""
    strip, each = Image.new("RGB", (width, CAPTION_HEIGHT)), width // len(texts)
    for place, text in enumerate(map(printable, texts)):
        cell = Image.new("RGB", (each - CAPTION_GAP, CAPTION_HEIGHT))
        fonts = [ImageFont.load_default(size) for size in FONT_SIZES]
        font = next((font for font in fonts if font.getlength(text) <= cell.width), fonts[-1])
        ImageDraw.Draw(cell).text((0, CAPTION_HEIGHT // 2), text, font=font, anchor="lm")
        strip.paste(cell, (place * each, 0))
    return np.asarray(strip)


def _row(images: list[ImageArray], width: int) -> ImageArray:
    """Return images side by side, BGR, as wide as that."""
    side = width // COUNT
    row = np.zeros((side, width, 3), np.uint8)
    for place, image in enumerate(images):
        row[:, place * side : (place + 1) * side] = cv2.cvtColor(resized(image, side), cv2.COLOR_RGB2BGR)
    return row
