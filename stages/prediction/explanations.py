"""Heat maps over photographs: where a network saw the class that it names."""

from pathlib import Path

import cv2
import numpy as np

from stages.evaluation.grad_cam import grad_cam
from stages.prediction.classifier import Answer, Classifier, as_set
from stages.runtime.files import atomic_file

SIDE = 384  # pixels at least, so that there is something to see
SEEN = 0.5  # share of the heat in what is shown


def write_explanation(folder: Path, number: int, answer: Answer, classifier: Classifier) -> Path:
    """Write an answer's image with the heat of its most probable class over it, as PNG; return the file."""
    if answer.image is None:
        raise ValueError(f"{answer.path} was not answered")
    images, _ = as_set(classifier, [answer.image]).batch(slice(0, 1))
    label = classifier.trained.class_names.index(answer.classes[0][0])
    (heat,) = grad_cam(classifier.trained.model, images, [label])
    side = max(SIDE, len(answer.image))
    image = cv2.resize(answer.image, (side, side), interpolation=cv2.INTER_LANCZOS4)
    grey = (cv2.resize(heat, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)
    shown = cv2.addWeighted(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), 1 - SEEN, coloured, SEEN, 0)
    file = folder / f"{number:05}-{Path(answer.path).stem[:100]}.png"
    with atomic_file(file) as unfinished:
        unfinished.write_bytes(bytes(cv2.imencode(".png", shown)[1]))
    return file
