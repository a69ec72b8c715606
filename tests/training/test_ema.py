"""The average of a network's weights over its training."""

import math

import pytest
import torch
from torch import nn

from stages.training.ema import ExponentialMovingAverage


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))


def set_to(model: nn.Module, value: float) -> None:
    """Set every weight and statistic, counters as well."""
    for tensor in model.state_dict().values():
        tensor.fill_(value)


def averaged(values: list[float], steps: float) -> dict[str, torch.Tensor]:
    """Return the average's weights after steps that left the network at these values."""
    model = network()
    average = ExponentialMovingAverage(model, steps)
    for done, value in enumerate(values, start=1):
        set_to(model, value)
        average.update(model, done)
    return average.model.state_dict()


@pytest.mark.parametrize("count", [1, 2, 7, 10])
def test_at_first_all_steps_count_the_same(count):
    """The plain mean, in which the weights that the network began with have no part."""
    values = [float(number**2) for number in range(1, count + 1)]
    assert averaged(values, 10)["0.weight"].item() == pytest.approx(sum(values) / count)


@pytest.mark.parametrize("steps", [2.5, 10, 40])
def test_later_what_is_as_long_ago_as_the_average_reaches_counts_an_eth(steps):
    """However long the network stood at 5 before: so many steps at 1 leave 1/e of the way, twice as many 1/e²."""
    before = [5.0] * 100
    for times in (1, 2):
        weight = averaged(before + [1.0] * round(times * steps), steps)["0.weight"].item()
        assert weight == pytest.approx(1 + 4 * math.exp(-round(times * steps) / steps), rel=1e-4)


def test_statistics_are_averaged_and_counters_copied():
    """Batch normalisation's mean and variance belong to the averaged weights; its count of batches is a whole one."""
    state = averaged([2.0, 3.0, 7.0], 10)
    assert {name: tensor.item() for name, tensor in state.items()} == {
        "0.weight": pytest.approx(4), "1.weight": pytest.approx(4), "1.bias": pytest.approx(4),
        "1.running_mean": pytest.approx(4), "1.running_var": pytest.approx(4), "1.num_batches_tracked": 7,
    }  # fmt: skip


def test_the_network_in_training_is_left_alone():
    """It keeps its weights, its mode and its gradients; the average has none of them and does not learn."""
    model = network()
    average = ExponentialMovingAverage(model, 3)
    model(torch.tensor([[1.0], [2.0]])).sum().backward()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update(model, 1)
    average.model.state_dict()["0.weight"].fill_(-9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(weight.requires_grad and weight.grad is not None for weight in model.parameters())
    assert not any(weight.requires_grad for weight in average.model.parameters())
    assert (model.training, average.model.training) == (True, False)
