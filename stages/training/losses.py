"""What a training makes small: how far logits are from the classes that images show."""

import torch
from torch import Tensor
from torch.nn import functional

from stages.networks.common.settings import TrainingSettings

CROSS_ENTROPY_SHARE = 0.1  # of the sum of cosine and cross entropy, as published


def training_loss(logits: Tensor, targets: Tensor, settings: TrainingSettings) -> Tensor:
    """Return the loss (n,) of each image: cross entropy in nats, or with it one minus the cosine to the target.

    Logits and targets, the share of each class in an image, are (n, classes). Source of the cosine and of the sum: Barz
    and Denzler, Deep learning on small datasets without pre-training using cosine loss, 2020. Theirs has a layer more
    before the cross entropy; ours keeps the network as it is.
    """
    logits = logits.float()
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
