"""What the trials of a search may change, and between which values: what a network's file says, and what all share."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.trial import Trial

from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.settings import Search, TrainingConfig, config_from

AUGMENTATION = "online_augmentation."  # before the names of its settings, where they stand beside a training's
LARGEST_SHIFT, SMALLEST_CROP, LARGEST_MIXUP = 0.25, 0.35, 0.4
Values = dict[str, Any]


def suggest(trial: Trial, network: NetworkDefinition[Any], defaults: TrainingConfig, search: Search) -> Values:
    """Return the settings that a trial changes, drawn from the space of the search.

    Epochs lie between half the defaults' and `max_epochs_factor` times as many: so a trial's budget of images seen is
    bounded by the defaults'. The strength of online augmentation is searched where it is enabled. Sources of ranges:
    crops, Szegedy et al., Going deeper with convolutions, 2015 (from 0.08; small images lose too much by that); mixup,
    Zhang et al., 2018 (alpha 0.1 to 0.4).
    """
    changed = network.suggest(trial, defaults.settings)
    epochs = defaults.settings.epochs
    if (longest := math.floor(search.max_epochs_factor * epochs)) > epochs:
        changed["epochs"] = trial.suggest_int("epochs", max(1, epochs // 2), longest)
    if defaults.online_augmentation.enabled:
        ranges = {"shift": (0.0, LARGEST_SHIFT), "crop": (SMALLEST_CROP, 1.0), "mixup": (0.0, LARGEST_MIXUP)}
        names = {AUGMENTATION + name: limits for name, limits in ranges.items()}
        changed |= {name: trial.suggest_float(name, *limits) for name, limits in names.items()}
    return changed


def flat(config: TrainingConfig) -> Values:
    """Return a configuration as one value for each name."""
    augmentation = config.online_augmentation.model_dump()
    return config.settings.model_dump() | {AUGMENTATION + name: value for name, value in augmentation.items()}


def changed_config(
    network: NetworkDefinition[Any], defaults: TrainingConfig, changed: Mapping[str, Any]
) -> TrainingConfig:
    """Return the defaults with some settings changed, by their names in `flat`."""
    return config_from(network.schema, nested({**flat(defaults), **changed}))


def nested(values: Mapping[str, Any]) -> Values:
    """Return values by their names in `flat` as `TrainingConfig.values` has them."""
    augmentation = {name.removeprefix(AUGMENTATION): value for name, value in values.items() if AUGMENTATION in name}
    rest = {name: value for name, value in values.items() if AUGMENTATION not in name}
    return rest | {"online_augmentation": augmentation}
