"""Losses, by hand on logits and images that can be counted."""

import math

import pytest
import torch
from torch.nn import functional

from stages.training.losses import class_weights, training_loss
from tests.training.test_loop import settings

LOGITS = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]])
TARGETS = torch.eye(3)[[0, 2]]
ENTROPIES = [math.log(math.exp(3) + math.exp(4) + 1) - 3, math.log(2 + math.exp(2)) - 2]
LABELS = torch.tensor([0, 0, 0, 2])


def loss(logits: torch.Tensor, targets: torch.Tensor, **changes: object) -> float:
    return training_loss(settings(**{"label_smoothing": 0} | changes), LABELS, 3)(logits, targets).mean().item()


def test_the_cosine_loss_is_one_minus_the_cosine_between_logits_and_class():
    """3/5 for the first, 1 for the second, however long the logits are."""
    assert loss(LOGITS, TARGETS, loss="cosine") == pytest.approx((0.4 + 0) / 2)
    assert loss(10 * LOGITS, TARGETS, loss="cosine") == pytest.approx(0.2)


def test_a_mixture_s_cosine_is_best_where_logits_point_to_what_was_mixed():
    """Three parts of one class and four of another."""
    assert loss(LOGITS[:1], torch.tensor([[3 / 7, 4 / 7, 0]]), loss="cosine") == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("chosen", ["cosine", "both"])
def test_logits_of_a_silent_layer_have_a_gradient_like_any_others(chosen):
    """Of zero, with which the new last layer of pre-trained weights begins: as long as the target, no longer."""
    logits = torch.zeros(2, 3, requires_grad=True)
    training_loss(settings(label_smoothing=0, loss=chosen), LABELS, 3)(logits, TARGETS).sum().backward()
    assert logits.grad.norm(dim=1).tolist() == pytest.approx([1, 1], abs=0.1)


def test_short_logits_have_so_much_less_of_a_cosine():
    """Half as long as 1, half of it; from 1 on all of it."""
    assert loss(LOGITS[:1] / 10, TARGETS[:1], loss="cosine") == pytest.approx(1 - 0.6 / 2)
    assert loss(LOGITS[:1] / 5, TARGETS[:1], loss="cosine") == pytest.approx(1 - 0.6)


def test_both_is_the_cosine_loss_and_a_tenth_of_the_cross_entropy():
    """As published; label smoothing is of the cross entropy alone."""
    assert loss(LOGITS, TARGETS, loss="both") == pytest.approx(0.2 + 0.1 * sum(ENTROPIES) / 2)
    smoothed = functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.3).item()
    assert loss(LOGITS, TARGETS, loss="both", label_smoothing=0.3) == pytest.approx(0.2 + 0.1 * smoothed)
    assert loss(LOGITS, TARGETS, loss="cosine", label_smoothing=0.3) == pytest.approx(0.2)


def test_the_default_learns_as_from_torch_s_cross_entropy():
    """To the bit of every gradient."""
    gradients = []
    for chosen in (training_loss(settings(label_smoothing=0.1), LABELS, 3), None):
        logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
        targets = torch.eye(3)[torch.arange(9) % 3]
        value = (
            chosen(logits, targets).mean() if chosen else functional.cross_entropy(logits, targets, label_smoothing=0.1)
        )
        gradients.append(torch.autograd.grad(value, logits)[0])
    assert torch.equal(*gradients)


def test_rare_classes_weigh_more_and_a_image_one_on_average():
    """Three images of one class and one of another: each class weighs two; one without images does no harm."""
    weights = class_weights(LABELS, 3)
    assert weights[[0, 2]].tolist() == pytest.approx([2 / 3, 2])
    assert weights[LABELS].mean() == pytest.approx(1)
    assert weights.isfinite().all()


@pytest.mark.parametrize("kind", ["cross_entropy", "cosine", "both"])
def test_a_balanced_loss_is_each_image_s_loss_by_its_class_s_weight(kind):
    """Whatever the loss; an image mixed from two classes has its shares of both weights."""
    alone = [loss(LOGITS[[row]], TARGETS[[row]], loss=kind) for row in (0, 1)]
    expected = (alone[0] * 2 / 3 + alone[1] * 2) / 2
    assert loss(LOGITS, TARGETS, loss=kind, class_balance="loss") == pytest.approx(expected)
    mixed = torch.tensor([[0.25, 0, 0.75]])
    plain, weighted = (loss(LOGITS[:1], mixed, loss=kind, class_balance=way) for way in ("none", "loss"))
    assert weighted == pytest.approx(plain * (0.25 * 2 / 3 + 0.75 * 2))


@pytest.mark.parametrize("way", ["none", "sampling"])
def test_other_balances_leave_the_loss_alone(way):
    """Who sees rare classes more often need not weigh them too."""
    assert loss(LOGITS, TARGETS, class_balance=way) == pytest.approx(sum(ENTROPIES) / 2)
