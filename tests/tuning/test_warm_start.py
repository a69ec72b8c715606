"""A search begins with steps from the defaults, and goes on from whatever has gained."""

import math

import optuna
import pytest

from stages.networks.common.contract import network_named
from stages.networks.common.settings import OnlineAugmentation, Search, TrainingConfig
from stages.tuning.space import flat, suggest
from stages.tuning.warm_start import DIRECTIONS, planned_change, step, within
from tests.training.test_loop import settings

CONFIG = TrainingConfig(
    settings(epochs=10, batch_size=32, weight_decay=0.05, learning_rate=1e-3), OnlineAugmentation(shift=0.1)
)
DEFAULTS = flat(CONFIG)
STEPS = [
    {"epochs": 20},
    {"learning_rate": pytest.approx(1e-3 / 3)},
    {"learning_rate": pytest.approx(3e-3)},
    {"batch_size": 16},
    {"weight_decay": pytest.approx(0.05 / 8)},
    {"weight_decay": pytest.approx(0.4)},
    {"online_augmentation.shift": 0},
]


@pytest.fixture(scope="module")
def space():
    trial = optuna.create_study().ask()
    suggest(trial, network_named("own_cnn"), CONFIG, Search())
    return trial.distributions


def searched(space, loss, trials: int, defaults: dict[str, object] = DEFAULTS) -> list[tuple[dict[str, object], float]]:
    """Return what a search tries whose trials have the loss that a function gives for all their settings."""
    tried: list[tuple[dict[str, object], float]] = []
    while len(tried) < trials and (changed := planned_change(tried, defaults, space)) is not None:
        tried.append((changed, loss(defaults | changed)))
    return tried


def test_where_nothing_gains_one_setting_at_a_time_changes(space):
    """After the defaults themselves; then the search's sampler chooses."""
    tried = searched(space, lambda _: 1.0, 100)
    assert [changed for changed, _ in tried] == [{}, *STEPS]


def test_what_gains_is_the_base_of_the_next_steps(space):
    """It goes on in a direction as long as that gains, and never back."""
    rates = [changed.get("learning_rate") for changed, _ in searched(space, lambda each: each["learning_rate"], 5)]
    assert rates[2:] == pytest.approx([1e-3 / 3, 1e-3 / 9, 1e-4])
    tried = searched(space, lambda each: -each["epochs"] - each["batch_size"] / 1e3, 100)
    assert tried[1][0] == {"epochs": 20}
    assert all(changed["epochs"] == 20 for changed, _ in tried[1:])
    assert tried[4][0] == {"epochs": 20, "batch_size": 16}
    assert {"epochs": 20, "batch_size": 16} not in [changed for changed, _ in tried[5:]]


@pytest.mark.parametrize(
    ("bad", "best"), [({"learning_rate": 1e-2}, 1e-3), ({"learning_rate": 1e-4}, 1e-3), ({"weight_decay": 5.0}, 0.05)]
)
def test_bad_defaults_are_left_in_a_few_steps(space, bad, best):
    """A rate ten times too high or too low, a decay a hundred times too high, which lies outside of the space."""
    ((name, _),) = bad.items()
    tried = searched(space, lambda each: abs(math.log(each[name] / best)), 8, DEFAULTS | bad)
    reached = min(tried, key=lambda each: each[1])[0][name]
    assert best / 3.1 < reached < 3.1 * best


def test_a_step_ends_at_the_end_of_the_space(space):
    """And there is none from there, nor in a setting that the space lacks."""
    half = {"epochs": 20, "learning_rate": 2e-4, "batch_size": 16, "online_augmentation.shift": 0.0}
    there = {name: step(half, direction, DEFAULTS, space) for name, direction in directions().items()}
    assert there["learning_rate down"]["learning_rate"] == 1e-4
    assert there["epochs up"] is there["batch_size down"] is there["online_augmentation.shift down"] is None
    assert step({}, directions()["epochs up"], DEFAULTS, {}) is None


def directions():
    return {f"{each.setting} {'up' if each.factor > 1 else 'down'}": each for each in DIRECTIONS}


def test_what_another_process_just_takes_is_left_to_it(space):
    """Of two that start at once, one makes the first step; what has failed is planned again."""
    assert planned_change([], DEFAULTS, space, starting=1) == STEPS[0]
    assert planned_change([(STEPS[0], 1.0)], DEFAULTS, space) == {}
    assert planned_change([({}, 1.0)], DEFAULTS, space, starting=7) is None


def test_what_was_stopped_or_still_runs_is_no_base(space):
    """Its loss is infinite."""
    tried = [({}, 1.0), (STEPS[0], math.inf)]
    assert planned_change(tried, DEFAULTS, space) == STEPS[1]


def test_values_outside_the_search_are_left_out(space):
    """And settings that it does not vary."""
    values = {"batch_size": 20, "learning_rate": 0.05, "weight_decay": 0.5, "epochs": 3, "loss": "cross_entropy"}
    assert within(space, values) == {"weight_decay": 0.5}
