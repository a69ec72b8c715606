"""Where a network looked: which parts of an image spoke for a class.

Source: Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization, 2017.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from stages.networks.common.prediction import PIXELS_AT_A_TIME

SMALLEST_MAP = 4  # rows and columns: of fewer a map shows nothing


def grad_cam(model: nn.Module, images: Tensor, classes: ArrayLike) -> NDArray[np.float32]:
    """Return maps (n, h, w), 0 to 1, of how much each part of images (n, 3, H, W) spoke for their classes (n,).

    A map is 0 throughout where every part spoke against the class, or where no layer says which part it was.
    """
    layer = target_layer(model, images[:1])
    if layer is None:
        return np.zeros((len(images), 1, 1), np.float32)
    at_a_time = max(1, PIXELS_AT_A_TIME // images.shape[2] ** 2)
    labels = torch.as_tensor(classes, device=images.device)
    parts = zip(torch.split(images, at_a_time), torch.split(labels, at_a_time), strict=True)
    maps = torch.cat([_maps(model, layer, some, those) for some, those in parts]).float().cpu().numpy()
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray(maps / np.where(highest > 0, highest, 1), np.float32)


def _maps(model: nn.Module, layer: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """Return maps (n, h, w), 0 and above: each feature counts by its mean gradient."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, features: kept.append(features))
    try:
        # forward alone: a network that predicts from mirror images as well does so in a hook, and is explained without
        logits = model.forward(images)
    finally:
        hook.remove()
    (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), kept[0])
    return (gradients.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1).relu().detach()


def target_layer(model: nn.Module, images: Tensor) -> nn.Module | None:
    """Return the last layer whose features (n, channels, h, w) still say where: of 4 x 4 parts or more, or the most.

    None where no layer has such features, as in a linear classifier.
    The deeper a layer, the more its features mean; the last one of a small image is a single part.
    """
    sizes: dict[nn.Module, int] = {}

    def note(layer: nn.Module, _: object, features: object) -> None:
        # images are square: what is not is of another order than n, channels, h, w
        if isinstance(features, Tensor) and features.ndim == 4 and features.shape[2] == features.shape[3]:
            sizes.pop(layer, None)
            sizes[layer] = min(features.shape[2:])

    hooks = [layer.register_forward_hook(note) for layer in model.modules() if layer is not model]
    try:
        with torch.no_grad():
            model.forward(images)
    finally:
        for hook in hooks:
            hook.remove()
    most = min(SMALLEST_MAP, max(sizes.values(), default=0))
    return next((layer for layer in reversed(sizes) if sizes[layer] >= most), None)
