"""What a training makes small: how far logits are from the classes that images show."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from stages.networks.common.settings import Training

Loss = Callable[[Tensor, Tensor], Tensor]
CROSS_ENTROPY_SHARE = 0.1  # of the sum of both, as published


def training_loss(settings: Training, labels: Tensor, classes: int) -> Loss:
    """Return the loss (n,) of each image: a function of logits and of each class's share of it, both (n, classes).

    With `class_balance: loss` an image weighs as much as the classes that it shows; `labels` are of all images.
    """
    weights = class_weights(labels, classes) if settings.class_balance == "loss" else None

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        losses = losses_per_image(logits.float(), targets, settings)
        return losses if weights is None else losses * (targets @ weights)

    return loss


def losses_per_image(logits: Tensor, targets: Tensor, settings: Training) -> Tensor:
    """Return the loss (n,) of each image: cross entropy in nats, one minus the cosine of logits and target, or both.

    Source of the cosine and of the sum: Barz and Denzler, Deep learning on small datasets without pre-training using
    cosine loss, 2020. Theirs has a layer more before the cross entropy; ours keeps the network as it is.
    """
    if settings.loss == "cosine":
        return 1 - cosine(logits, targets)
    entropies = functional.cross_entropy(logits, targets, label_smoothing=settings.label_smoothing, reduction="none")
    if settings.loss == "cross_entropy":
        return entropies
    return 1 - cosine(logits, targets) + CROSS_ENTROPY_SHARE * entropies


def cosine(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cosine (n,) of the angle between logits and targets; of logits shorter than 1, so much less of it.

    Without that its gradient has no bound where logits are all but zero, as they are at first of the new last layer
    that pre-trained weights get; and AdamW, which divides by what gradients have been, would hardly let it learn.
    """
    lengths: Tensor = torch.linalg.vector_norm(logits, dim=1).clamp(min=1) * torch.linalg.vector_norm(targets, dim=1)
    return (logits * targets).sum(1) / lengths


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Return weights (classes,) in inverse proportion to how many images have each label: 1 on average over these."""
    counts = torch.bincount(labels, minlength=classes)
    return len(labels) / (counts.count_nonzero() * counts.clamp(min=1)).float()
