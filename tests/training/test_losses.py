"""Losses, by hand on logits and images that can be counted."""

import math

import pytest
import torch
from torch.nn import functional

from stages.training.losses import cosine, training_loss
from tests.training.test_loop import settings

LOGITS = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]])
TARGETS = torch.eye(3)[[0, 2]]
ENTROPIES = [math.log(math.exp(3) + math.exp(4) + 1) - 3, math.log(2 + math.exp(2)) - 2]
BOTH = {"loss": "cosine_and_cross_entropy"}


def loss(logits: torch.Tensor, targets: torch.Tensor, **changes: object) -> list[float]:
    return training_loss(logits, targets, settings(**{"label_smoothing": 0} | changes)).tolist()


def test_the_cosine_is_of_the_angle_and_of_short_logits_so_much_less():
    """3/5 for the first, 1 for the second, however long they are; half as long as 1, half of it."""
    assert cosine(LOGITS, TARGETS).tolist() == pytest.approx([0.6, 1])
    assert cosine(10 * LOGITS, TARGETS).tolist() == pytest.approx([0.6, 1])
    assert cosine(LOGITS / 10, TARGETS).tolist() == pytest.approx([0.6 / 2, 0.2])
    assert cosine(LOGITS[:1], torch.tensor([[3 / 7, 4 / 7, 0]])).item() == pytest.approx(1)  # what was mixed


def test_logits_of_a_silent_layer_have_a_gradient_like_any_others():
    """Of zero, with which the new last layer of pre-trained weights begins: as long as the target, no longer."""
    logits = torch.zeros(2, 3, requires_grad=True)
    training_loss(logits, TARGETS, settings(label_smoothing=0, **BOTH)).sum().backward()
    assert logits.grad.norm(dim=1).tolist() == pytest.approx([1, 1], abs=0.1)


def test_the_sum_is_of_the_cosine_loss_and_a_tenth_of_the_cross_entropy():
    """As published; label smoothing is of the cross entropy alone."""
    assert loss(LOGITS, TARGETS, **BOTH) == pytest.approx([0.4 + 0.1 * ENTROPIES[0], 0.1 * ENTROPIES[1]])
    smoothed = functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.3, reduction="none")
    assert loss(LOGITS, TARGETS, **BOTH, label_smoothing=0.3) == pytest.approx(
        [0.4 + 0.1 * smoothed[0].item(), 0.1 * smoothed[1].item()]
    )


def test_the_default_learns_as_from_torch_s_cross_entropy():
    """To the bit of every gradient."""
    gradients = []
    for own in (True, False):
        logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
        targets = torch.eye(3)[torch.arange(9) % 3]
        value = (
            training_loss(logits, targets, settings(label_smoothing=0.1)).mean()
            if own
            else functional.cross_entropy(logits, targets, label_smoothing=0.1)
        )
        gradients.append(torch.autograd.grad(value, logits)[0])
    assert torch.equal(*gradients)
