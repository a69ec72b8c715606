"""A search begins a step away from the defaults."""

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from stages.networks.common.contract import network_named
from stages.tuning.warm_start import first_choice, steps, within
from tests.training.test_loop import settings

DEFAULTS = settings(batch_size=32, label_smoothing=0.1, weight_decay=0.05, learning_rate=1e-3).model_dump()
STEPS = [{"batch_size": 16}, {"label_smoothing": 0.0}, {"weight_decay": pytest.approx(0.3)}]


@pytest.fixture(scope="module")
def space():
    trial = optuna.create_study().ask()
    network_named("own_cnn").suggest(trial, settings())
    return trial.distributions


def finished(*losses: float) -> dict[int, optuna.trial.FrozenTrial]:
    """Return trials of the places from 0 on; without a loss it was stopped early."""
    states = [TrialState.PRUNED if loss is None else TrialState.COMPLETE for loss in losses]
    return {
        place: create_trial(value=9.0 if loss is None else loss, state=state)
        for place, (loss, state) in enumerate(zip(losses, states, strict=True))
    }


def test_one_setting_at_a_time_changes(space):
    """After the defaults themselves; none that the defaults have already, or that lies outside of the search."""
    assert [first_choice(place, DEFAULTS, space, {}) for place in range(4)] == [{}, *STEPS]
    assert steps(DEFAULTS | {"batch_size": 16}, space) == STEPS[1:]
    assert steps(DEFAULTS | {"batch_size": 16, "label_smoothing": 0.0}, space) == STEPS[2:]
    assert steps(DEFAULTS | {"weight_decay": 0.9}, space) == STEPS[:2]
    assert steps(DEFAULTS | {"weight_decay": 0.0}, space) == STEPS[:2]


def test_steps_that_gain_are_made_together(space):
    """Where at least two have ended below the defaults; then, and else at once, the sampler chooses."""
    together = {"batch_size": 16, "weight_decay": pytest.approx(0.3)}
    assert first_choice(4, DEFAULTS, space, finished(2.0, 1.9, 2.1, 1.8)) == together
    assert first_choice(4, DEFAULTS, space, finished(2.0, 1.9, None, 2.0)) is None
    assert first_choice(4, DEFAULTS, space, finished(2.0, 1.9)) is None
    assert first_choice(4, DEFAULTS, space, {}) is None
    assert first_choice(5, DEFAULTS, space, finished(2.0, 1.9, 1.8, 1.8, 1.7)) is None


def test_values_outside_the_search_are_left_out(space):
    """And settings that it does not vary."""
    values = {"batch_size": 20, "learning_rate": 0.05, "weight_decay": 0.5, "epochs": 3}
    assert within(space, values) == {"weight_decay": 0.5}
