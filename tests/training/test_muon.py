"""Muon: matrices take orthogonal steps, all else what AdamW takes."""

import pytest
import torch

from stages.hardware import device
from stages.networks.common.settings import TrainingConfig
from stages.networks.own_cnn import network as own_cnn
from stages.training.loop import fit
from stages.training.muon import Muon, orthogonalised
from stages.training.state import Task, is_matrix, new_training_state
from tests.training.test_loop import PLAIN, coloured, settings

RATE = 0.01


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def stepped(weight: torch.Tensor, gradients: list[torch.Tensor], *, matrices: bool, decay: float = 0.0) -> torch.Tensor:
    """Return what becomes of a weight by a step for each gradient."""
    parameter = torch.nn.Parameter(weight.clone(memory_format=torch.preserve_format))
    optimizer = Muon([{"params": [parameter], "lr": RATE, "weight_decay": decay, "matrices": matrices}], fused=True)
    for gradient in gradients:
        parameter.grad = gradient.clone(memory_format=torch.preserve_format)
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64, 200), (200, 64)])
def test_a_matrix_keeps_its_directions_and_loses_their_lengths(shape, precision, monkeypatch):
    monkeypatch.setattr(device, "precision", lambda: precision)
    left, lengths, right = torch.linalg.svd(random(*shape), full_matrices=False)
    found = orthogonalised((left * lengths) @ right)
    inner = left.T @ found @ right.T
    assert lengths.max() > 3 * lengths.min()
    assert inner.diagonal().min() > 0.6
    assert inner.diagonal().max() < 1.25
    assert (inner - inner.diagonal().diag()).abs().max() < 0.02


def test_a_gradient_of_nothing_changes_nothing():
    weight = random(8, 8)
    assert torch.equal(stepped(weight, [torch.zeros(8, 8)], matrices=True), weight)


@pytest.mark.parametrize("shape", [(64, 200), (200, 64), (64, 20, 3, 3)])
def test_a_step_is_about_as_long_as_the_learning_rate_whatever_the_gradient(shape):
    """In root mean square, so that a learning rate for AdamW serves here as well."""
    for length in (1e-6, 1.0, 1e3):
        step = stepped(torch.zeros(shape), [length * random(*shape)], matrices=True)
        assert step.square().mean().sqrt().item() == pytest.approx(RATE, rel=0.25)
    assert (step * random(*shape)).sum() < 0


def test_the_memory_order_of_a_convolution_changes_nothing():
    weight, gradients = random(32, 16, 3, 3), [random(32, 16, 3, 3), random(32, 16, 3, 3).flip(0)]
    ordered = [each.to(memory_format=torch.channels_last) for each in (weight, *gradients)]
    found = stepped(ordered[0], ordered[1:], matrices=True)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, stepped(weight, gradients, matrices=True).to(memory_format=torch.channels_last))


def test_weight_decay_shrinks_a_matrix_by_the_learning_rate_times_itself():
    weight, gradient = random(8, 20), random(8, 20).flip(1)
    decayed, plain = (stepped(weight, [gradient], matrices=True, decay=decay) for decay in (0.5, 0))
    torch.testing.assert_close(plain - decayed, RATE * 0.5 * weight, rtol=1e-3, atol=1e-6)


def test_all_else_takes_the_steps_of_adamw():
    weight, gradients = random(8, 20), [random(8, 20), random(8, 20).flip(1)]
    parameter = torch.nn.Parameter(weight.clone())
    adamw = torch.optim.AdamW([parameter], lr=RATE, weight_decay=0.5, fused=True)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        adamw.step()
    assert torch.equal(stepped(weight, gradients, matrices=False, decay=0.5), parameter.detach())


def test_the_head_vectors_and_depthwise_convolutions_are_no_matrices_of_it():
    """A row of the head is a class, and a depthwise convolution mixes no channels."""
    task = Task(own_cnn, TrainingConfig(settings(optimizer="muon"), PLAIN), coloured(12, 0), coloured(12, 1), 1)
    state = new_training_state(task)
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    matrices = [group["params"] for group in state.optimizer.param_groups if group["matrices"]]
    expected = [f"blocks.{number}.weight" for number in range(0, 24, 4)] + ["hidden.2.weight"]
    assert [names[id(parameter)] for parameter in matrices[0]] == expected
    assert len(matrices) == 1
    assert not is_matrix(torch.nn.Conv2d(8, 8, 3, groups=8).weight)


def test_it_learns_a_problem_that_can_be_learnt_sooner_than_adamw():
    losses = {}
    for optimizer in ("adamw", "muon"):
        config = TrainingConfig(settings(optimizer=optimizer, epochs=3, learning_rate=1e-3), PLAIN)
        losses[optimizer] = fit(Task(own_cnn, config, coloured(48, 0), coloured(24, 1), 1), "test").history[-1].loss
    assert losses["muon"] < losses["adamw"]
