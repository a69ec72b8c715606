"""How far a linear classifier on raw pixels gets on the prepared images: what the networks have to beat.

    python -m experiments.linear_baseline

Multinomial logistic regression on standardised pixels, regularised so that the validation accuracy is highest.
Needs scikit-learn, which `make test` installs.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.networks.common.image_set import ImageSet, load_images

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # inverse of the regularisation


def main() -> None:
    """Fit on data/original, choose the strength on data/validation, score once on data/test."""
    training, validation, test = (load(name) for name in ("original", "validation", "test"))
    models = []
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
        models.append(model.fit(*training))
    best = max(models, key=lambda model: model.score(*validation))
    print(f"linear classifier on pixels: {100 * best.score(*test):.1f} % of {len(test[1])} test images")


def load(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return pixels (N, 3 * H * W) from 0 to 1 and labels (N,)."""
    images: ImageSet = load_images(f"data/{name}", torch.device("cpu"))
    return images.pixels.reshape(len(images), -1).numpy().astype(np.float32) / 255, images.labels.numpy()


if __name__ == "__main__":
    main()
