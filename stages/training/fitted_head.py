"""A last layer to start fine-tuning from: fitted to the features that the pre-trained weights give before any step.

A new layer that knows nothing sends gradients through the weights below that distort what they have learnt; one that is
fitted first does not, and what was learnt from other images is kept (LP-FT: Kumar et al., Fine-tuning can distort
pretrained features and underperform out-of-distribution, 2022).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stages.hardware import device
from stages.networks.common.image_set import ImageSet
from stages.networks.common.prediction import PIXELS_AT_A_TIME
from stages.training.head import HeadSettings, assigned_folds, cross_validated, fit


def start_with_fitted_head(model: nn.Module, head: str, images: ImageSet, shrinkage: float, seed: int) -> None:
    """Give a network's last layer, where it is linear, the weights that best tell the classes of its features apart.

    Of images, the originals count. Other kinds of last layers stay as they are.
    """
    layer = model.get_submodule(head.rstrip("."))
    rows = images.originals()[0]
    labels = images.labels.cpu().numpy()[rows]
    if not isinstance(layer, nn.Linear) or layer.bias is None or len(np.unique(labels)) < 2:
        return
    features, settings = features_before(model, layer, images, rows), HeadSettings(1.0, shrinkage)
    folds, classes = assigned_folds(labels, seed=seed), len(images.class_names)
    (reached,) = cross_validated(features, labels, classes, folds, ((settings.power,), (settings.shrinkage,)))
    fitted = fit(features, labels, classes, settings, reached.scale)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(fitted.weight))
        layer.bias.copy_(torch.from_numpy(fitted.bias))


def features_before(
    model: nn.Module, layer: nn.Linear, images: ImageSet, rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what a network that is not in training gives its last layer for rows (n,) of images: (n, features)."""
    given: list[NDArray[np.float32]] = []
    hook = layer.register_forward_pre_hook(lambda _, values: given.append(values[0].float().cpu().numpy()))
    model.eval()
    batches = torch.split(torch.from_numpy(rows), max(1, PIXELS_AT_A_TIME // images.image_size**2))
    with torch.inference_mode(), device.mixed_precision():
        for batch in batches:
            model(images.batch(batch)[0])
    hook.remove()
    return np.concatenate(given)
