"""What a search tries first: one setting at a time, a step from the best so far, and further where that has gained.

Trials at random among all settings seldom meet one that beats good defaults; steps often do, they lead back from bad
defaults in a few, and they say why. This is a pattern search (Hooke and Jeeves, "Direct search" solution of numerical
and statistical problems, 1961) with the first trial as its base.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

Values = dict[str, Any]
Tried = Sequence[tuple[Values, float]]


class Direction(NamedTuple):
    """A setting, and by what a step multiplies it."""

    setting: str
    factor: float


# Epochs come first, for what is trained for longer is mostly better; then what Brigato, Barz, Iocchi and Denzler (Tune
# it or don't use it, 2021) tune on small data. Two steps of the rate undo an error of ten.
DIRECTIONS = (
    Direction("epochs", 2),
    Direction("learning_rate", 1 / 3),
    Direction("learning_rate", 3),
    Direction("batch_size", 1 / 2),
    Direction("weight_decay", 1 / 8),
    Direction("weight_decay", 8),
    Direction("online_augmentation.shift", 0),
)


class Base(NamedTuple):
    """Where a search stands: the best settings so far, their loss, and in which directions it has not gone in vain."""

    changed: Values
    loss: float
    open: tuple[Direction, ...]


def planned_change(
    tried: Tried, defaults: Values, space: Mapping[str, BaseDistribution], starting: int = 0
) -> Values | None:
    """Return what the next trial changes of the defaults, or None where the search's sampler is to choose.

    First nothing; then a step from the best so far, in one direction after another. `tried` are the trials that run or
    have ended, in their order: what each changes, and its loss, infinite until it has come to its end. Besides, so many
    are just `starting`, in other processes.
    """
    known, base = [changed for changed, _ in tried], base_of(tried, defaults, space)
    steps = (step(base.changed, direction, defaults, space) for direction in base.open)
    planned = [each for each in ({}, *steps) if each is not None and each not in known]
    return next(iter(planned[starting:]), None)


def base_of(tried: Tried, defaults: Values, space: Mapping[str, BaseDistribution]) -> Base:
    """Go once more through what was tried: whatever has gained is the new base, and closes the opposite direction."""
    base = Base({}, math.inf, DIRECTIONS)
    for changed, loss in tried:
        taken = [each for each in base.open if step(base.changed, each, defaults, space) == changed]
        if loss < base.loss:
            closed = [each for each in DIRECTIONS for way in taken if each.setting == way.setting and each != way]
            base = base._replace(changed=changed, loss=loss)
        else:
            closed = taken
        base = base._replace(open=tuple(each for each in base.open if each not in closed))
    return base


def step(
    changed: Values, direction: Direction, defaults: Values, space: Mapping[str, BaseDistribution]
) -> Values | None:
    """Return what a step in a direction changes of the defaults, or None where the space has nothing there.

    A step beyond an end of the space goes to the end; from beyond it, back into the space.
    """
    name = direction.setting
    before = changed.get(name, defaults.get(name))
    if name not in space or before is None:
        return None
    after = nearest(space[name], before * direction.factor)
    if math.isclose(after, before) or (after < before) != (direction.factor < 1):
        return None
    others = {key: value for key, value in changed.items() if key != name}
    return others if after == defaults.get(name) else others | {name: after}


def nearest(distribution: BaseDistribution, value: float) -> Any:
    """Return the value that a distribution has nearest to one."""
    if isinstance(distribution, CategoricalDistribution):
        numbers = [choice for choice in distribution.choices if isinstance(choice, int | float)]
        return min(numbers, key=lambda choice: abs(choice - value))
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        raise TypeError(distribution)
    inside = min(max(value, distribution.low), distribution.high)
    return round(inside) if isinstance(distribution, IntDistribution) else inside


def within(space: Mapping[str, BaseDistribution], values: Mapping[str, Any]) -> Values:
    """Return the values that lie in the space of the search; defaults may be outside."""
    inside = {}
    for name, distribution in space.items():
        try:
            create_trial(value=0.0, params={name: values[name]}, distributions={name: distribution})
        except (KeyError, ValueError):
            continue
        inside[name] = values[name]
    return inside
