"""The configuration of a training: the settings that all networks share, to which each network's file adds its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, PositiveFloat

from stages.runtime.config import Section

if TYPE_CHECKING:
    import optuna

BATCH_SIZES = [16, 32, 64]


class TrainingSettings(Section):
    """params.yaml's section `training`. A network's own settings extend it, and say what `freeze` may be."""

    weights: str = Field("none", min_length=1)
    input_size: int | Literal["weights"] = 64
    freeze: str = "none"
    backbone_learning_rate_factor: float = Field(1.0, ge=0, le=1)
    epochs: int = Field(10, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    batch_size: int = Field(32, ge=2)  # batch normalisation has no variance to work with in a batch of one
    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = Field(0.05, ge=0)
    warmup_epochs: float = Field(1.0, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    ema_epochs: float = Field(0.0, ge=0)
    equal_steps: bool = True
    loss: Literal["cross_entropy", "cosine_and_cross_entropy"] = "cross_entropy"
    class_balance: Literal["none", "sampling"] = "none"
    early_stopping_patience: int = Field(0, ge=0)
    flip_tta: bool = False
    head_power: float = Field(0.5, gt=0, le=1)
    head_shrinkage: float = Field(0.5, gt=0, le=1)


def suggest_training(trial: optuna.Trial, defaults: TrainingSettings) -> dict[str, Any]:
    """Return the settings that trials change of every network."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "batch_size": trial.suggest_categorical("batch_size", BATCH_SIZES),
        "warmup_epochs": trial.suggest_float("warmup_epochs", 0.0, defaults.epochs / 5),
    }


class OnlineAugmentation(Section):
    """params.yaml's section `online_augmentation`: random changes to each training batch."""

    enabled: bool = True
    flip: bool = True
    shift: float = Field(0.125, ge=0, le=0.5)
    crop: float = Field(1.0, gt=0, le=1)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)


class TrainingConfig(NamedTuple):
    """All settings of a training: in data/hyperparameters/<network>, an entry per setting."""

    settings: TrainingSettings
    online_augmentation: OnlineAugmentation

    def values(self) -> dict[str, Any]:
        """Return it as JSON; `config_from` reads it."""
        return {**self.settings.model_dump(), "online_augmentation": self.online_augmentation.model_dump()}


def config_from(schema: type[TrainingSettings], values: dict[str, Any]) -> TrainingConfig:
    """Return the configuration whose `values` these are, with settings of a network's `schema`."""
    settings = {name: value for name, value in values.items() if name != "online_augmentation"}
    return TrainingConfig(schema(**settings), OnlineAugmentation(**values["online_augmentation"]))


class Search(Section):
    """params.yaml's section `search`; what Optuna has as well is called as there."""

    trials: int = Field(8, ge=1)
    folds: int = Field(1, ge=1)
    minutes: float = Field(0.0, ge=0)
    max_epochs_factor: float = Field(2.0, ge=1)
    startup_trials: int = Field(2, ge=1)
    min_resource: int = Field(2, ge=1)
    reduction_factor: int = Field(2, ge=2)
