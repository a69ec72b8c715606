"""The settings of training and tuning that all networks share; each network's module adds its own hyperparameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field, PositiveFloat

from stages.lib.networks import network_module
from stages.lib.params import Section

if TYPE_CHECKING:
    import optuna

BATCH_SIZES = [16, 32, 64]


class Training(Section):
    """What the training loop reads. A network's `Settings` extends it, and says what `freeze` may be."""

    weights: str = Field(min_length=1)
    freeze: str
    backbone_learning_rate_factor: float = Field(ge=0, le=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)  # batch normalisation has no variance to work with in a batch of one
    learning_rate: PositiveFloat
    weight_decay: float = Field(ge=0)
    warmup_epochs: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)
    ema_epochs: float = Field(ge=0)


def suggest_training(trial: optuna.Trial, defaults: Training) -> dict[str, Any]:
    """Return the settings that trials change of every network."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "batch_size": trial.suggest_categorical("batch_size", BATCH_SIZES),
        "warmup_epochs": trial.suggest_float("warmup_epochs", 0.0, defaults.epochs / 5),
    }


class OnTheFly(Section):
    """params.yaml's section `on_the_fly`: random changes to each training batch."""

    enabled: bool
    flip: bool
    shift: float = Field(ge=0, le=0.5)
    crop: float = Field(gt=0, le=1)
    mixup: float = Field(ge=0)
    cutmix: float = Field(ge=0)


class Recipe(NamedTuple):
    """All that a training is told: in data/hyperparameters/<network>, an entry per setting."""

    settings: Training
    on_the_fly: OnTheFly

    def values(self) -> dict[str, Any]:
        """Return it as JSON; `recipe` reads it."""
        return {**self.settings.model_dump(), "on_the_fly": self.on_the_fly.model_dump()}


def recipe(network: str, values: dict[str, Any]) -> Recipe:
    """Return the recipe whose `values` these are."""
    settings = {name: value for name, value in values.items() if name != "on_the_fly"}
    return Recipe(network_module(network).Settings(**settings), OnTheFly(**values["on_the_fly"]))


class Search(Section):
    """params.yaml's section `tune.<network>`."""

    trials: int = Field(ge=1)
    minutes: float = Field(ge=0)
    epochs: int = Field(ge=1)
    startup_trials: int = Field(ge=1)
    pruning_warmup_epochs: int = Field(ge=0)
    parallel_trials: int = Field(ge=1)
