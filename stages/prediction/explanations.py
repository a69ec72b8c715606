"""Heat maps over photographs: where a network saw the class that it names."""

from pathlib import Path

import cv2
import numpy as np

from stages.evaluation.grad_cam import heat_maps
from stages.prediction.classifier import Answer, Knowing, as_set
from stages.runtime.files import finished_file

SIDE = 384  # pixels at least, so that there is something to see
SEEN = 0.5  # share of the heat in what is shown


def write_explanation(folder: Path, number: int, answer: Answer, knowing: Knowing) -> Path:
    """Write an answer's picture with the heat of its most probable class over it, as PNG; return the file."""
    if answer.picture is None:
        raise ValueError(f"{answer.path} was not answered")
    images, _ = as_set(knowing, [answer.picture]).batch(slice(0, 1))
    label = knowing.trained.class_names.index(answer.classes[0][0])
    (heat,) = heat_maps(knowing.trained.model, images, [label])
    side = max(SIDE, len(answer.picture))
    picture = cv2.resize(answer.picture, (side, side), interpolation=cv2.INTER_LANCZOS4)
    grey = (cv2.resize(heat, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)
    shown = cv2.addWeighted(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), 1 - SEEN, coloured, SEEN, 0)
    file = folder / f"{number:05}-{Path(answer.path).stem[:100]}.png"
    with finished_file(file) as unfinished:
        unfinished.write_bytes(bytes(cv2.imencode(".png", shown)[1]))
    return file
