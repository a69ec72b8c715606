"""A search begins a step away from the defaults."""

import math

import optuna
import pytest

from stages.networks.common.contract import network_named
from stages.tuning.warm_start import planned_change, steps, within
from tests.training.test_loop import settings

DEFAULTS = settings(batch_size=32, label_smoothing=0.1, weight_decay=0.05, learning_rate=1e-3).model_dump()
STEPS = [{"batch_size": 16}, {"label_smoothing": 0.0}, {"weight_decay": pytest.approx(0.3)}]


@pytest.fixture(scope="module")
def space():
    trial = optuna.create_study().ask()
    network_named("own_cnn").suggest(trial, settings())
    return trial.distributions


def tried(*losses: float, first: int = 0) -> list[tuple[dict[str, object], float]]:
    """Return the defaults and the steps with their losses; that of one that was stopped or runs is infinite."""
    return list(zip([{}, *STEPS][first:], losses, strict=False))


def test_one_setting_at_a_time_changes(space):
    """After the defaults themselves; none that the defaults have already, or that lies outside of the search."""
    planned = [planned_change(tried(*[1.0] * done), DEFAULTS, space) for done in range(4)]
    assert planned == [{}, *STEPS]
    assert steps(DEFAULTS | {"batch_size": 16}, space) == STEPS[1:]
    assert steps(DEFAULTS | {"batch_size": 16, "label_smoothing": 0.0}, space) == STEPS[2:]
    assert steps(DEFAULTS | {"weight_decay": 0.9}, space) == STEPS[:2]
    assert steps(DEFAULTS | {"weight_decay": 0.0}, space) == STEPS[:2]


def test_what_another_process_just_takes_is_left_to_it(space):
    """Of two that start at once, one makes the first step; what has failed is planned again."""
    assert planned_change([], DEFAULTS, space, starting=1) == STEPS[0]
    assert planned_change(tried(1.0, first=1), DEFAULTS, space) == {}
    assert planned_change(tried(1.0, 1.0), DEFAULTS, space, starting=2) is None


def test_steps_that_gain_are_made_together(space):
    """Where at least two have ended below the defaults, and once; then, and else at once, the sampler chooses."""
    together = {"batch_size": 16, "weight_decay": pytest.approx(0.3)}
    gained = tried(2.0, 1.9, 2.1, 1.8)
    assert planned_change(gained, DEFAULTS, space) == together
    assert planned_change([*gained, (together, 1.7)], DEFAULTS, space) is None
    assert planned_change(tried(2.0, 1.9, math.inf, 2.0), DEFAULTS, space) is None
    assert planned_change(tried(math.inf, 1.9, 1.8, 1.7), DEFAULTS, space) is None


def test_values_outside_the_search_are_left_out(space):
    """And settings that it does not vary."""
    values = {"batch_size": 20, "learning_rate": 0.05, "weight_decay": 0.5, "epochs": 3}
    assert within(space, values) == {"weight_decay": 0.5}
