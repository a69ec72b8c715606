"""Heat maps over photographs: where a network saw the class that it names."""

import os
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from stages.explanation.grad_cam import grad_cam
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.prediction import normalised
from stages.networks.common.weights import Metadata, restore
from stages.prediction.classifier import Prediction
from stages.runtime.files import atomic_file

MIN_SIDE = 384  # pixels, so that there is something to see
HEAT_MAP_OPACITY = 0.5
NAME_BYTES = 120  # of an image's name that its file begins with: a name may have 255, with what stands around it


class Explainer:
    """Writes where a network looked, as PNG files; by torch, for Grad-CAM takes gradients."""

    def __init__(self, file: Path, metadata: Metadata) -> None:
        self.metadata = metadata
        self.model: nn.Module = restore(file, network_named(metadata.network), device.device())

    def write(self, folder: Path, number: int, prediction: Prediction) -> Path:
        """Write a prediction's image with the heat map of its most probable class over it; return the file."""
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
        name = os.fsencode(Path(prediction.path).stem)[:NAME_BYTES].decode(errors="ignore")
        file = folder / f"{number:05}-{name}.png"
        with atomic_file(file) as unfinished:
            unfinished.write_bytes(bytes(cv2.imencode(".png", shown)[1]))
        return file
