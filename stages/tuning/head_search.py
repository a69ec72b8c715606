"""The search of a frozen backbone's head: cross-validation over training and validation images, in seconds."""

import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from stages.networks.common.settings import TrainingConfig
from stages.statistics.temperature import cross_entropies
from stages.training.head import HeadSettings
from stages.training.head_run import cross_validate, load_head_data, write_head
from stages.tuning.results import CHANGED, REACHED, SearchResult
from stages.tuning.selection import best_expected

POWERS = (1.0, 0.75, 0.5)
SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SPACE = {"head_power": FloatDistribution(0.25, 1.0), "head_shrinkage": FloatDistribution(0.01, 1.0)}


def search_head(network: str, defaults: TrainingConfig, seed: int, folder: Path) -> SearchResult:
    """Try a grid of settings around the defaults, and write the heads of the default and the best ones below a folder.

    The losses that are compared are those of images that had no part in a fit.
    """
    began, values = time.perf_counter(), defaults.values()
    data = load_head_data(network, "original", seed, flip_tta=values["flip_tta"])
    default = HeadSettings(values["head_power"], values["head_shrinkage"])
    tried = list(dict.fromkeys([default, *(HeadSettings(*each) for each in product(POWERS, SHRINKAGES))]))
    reached = cross_validate(data, tried)
    losses = np.stack([cross_entropies(each.logits, data.labels) for each in reached])
    best = best_expected(losses, luck=0.0)
    changes = [_changed(default, settings) for settings in tried]
    trials = [_finished_trial(changed, float(loss)) for changed, loss in zip(changes, losses.mean(axis=1), strict=True)]
    trained = {kind: folder / kind for kind in ("default", "tuned")}
    for kind, changed in (("default", {}), ("tuned", changes[best])):
        trained[kind].mkdir(parents=True)
        write_head(network, values | changed, data, trained[kind], began)
    said = ", ".join(f"{name} {value:g}" for name, value in changes[best].items()) or "the defaults"
    print(
        f"tune {network}: of {len(tried)} heads what is expected to be best is {said}: cross-validated loss"
        f" {losses[best].mean():.3f} ({losses[0].mean():.3f} with the defaults)",
        file=sys.stderr,
    )
    return SearchResult(changes[best], trials, trained)


def _changed(default: HeadSettings, settings: HeadSettings) -> dict[str, Any]:
    """Return the settings that differ, by their names in params.yaml."""
    pairs = zip(HeadSettings._fields, default, settings, strict=True)
    return {f"head_{name}": value for name, before, value in pairs if before != value}


def _finished_trial(changed: dict[str, Any], loss: float) -> FrozenTrial:
    """Return a trial as Optuna keeps one that has ended: what it changed of the defaults, and its loss."""
    distributions: dict[str, BaseDistribution] = {name: SPACE[name] for name in changed}
    return create_trial(
        value=loss,
        params=changed,
        distributions=distributions,
        intermediate_values={1: loss},
        user_attrs={CHANGED: changed, REACHED: (loss, 1)},
    )
