"""What a search tries first: one step away from the defaults at a time, then together what those steps have gained.

A few trials at random among all settings seldom meet one that beats good defaults; steps often do, and say why.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import create_trial

from stages.networks.common.settings import BATCH_SIZES

Values = dict[str, Any]
DECAY = 6  # times the default weight decay: a quarter of the search's range, on its logarithmic scale


def steps(defaults: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> list[Values]:
    """Return changes of one setting each, all within the search's space.

    Batch size and weight decay are among what Brigato, Barz, Iocchi and Denzler (Tune it or don't use it, 2021) tune on
    small data. These steps were found on drawn birds and photographs: docs/results.md. The first goes to its end beside
    the defaults, and the others are stopped early unless they get ahead of it: it is the one that has gained most.
    """
    smaller = [size for size in BATCH_SIZES if size < defaults["batch_size"]]
    wanted: list[Values] = [
        *({"batch_size": size} for size in smaller[-1:]),
        {"label_smoothing": 0.0},
        {"weight_decay": DECAY * defaults["weight_decay"]},
    ]
    return [step for step in wanted if within(space, step) == step and not step.items() <= defaults.items()]


def planned_change(
    trials: Sequence[tuple[Values, float]],
    defaults: Mapping[str, Any],
    space: Mapping[str, BaseDistribution],
    starting: int = 0,
) -> Values | None:
    """Return what the next trial changes of the defaults, or None where the search's sampler is to choose.

    First nothing, then each step once, then all steps together that have gained. `trials` are those that run or have
    ended: what each changes, and its loss, infinite until it has come to its end. Besides, so many
    are just `starting`, in other processes.
    """
    tried, possible = [changed for changed, _ in trials], steps(defaults, space)
    wanted = [change for change in ({}, *possible) if change not in tried][starting:]
    if wanted:
        return wanted[0]
    losses = [min([loss for changed, loss in trials if changed == each], default=math.inf) for each in ({}, *possible)]
    gained = [step for step, loss in zip(possible, losses[1:], strict=True) if loss < losses[0] < math.inf]
    together = {name: value for step in gained for name, value in step.items()}
    return together if len(gained) > 1 and together not in tried else None


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
