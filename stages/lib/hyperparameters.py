"""The settings of training and tuning that all networks share; each network's module adds its own hyperparameters."""

from pydantic import Field, PositiveFloat

from stages.lib.params import Section


class Training(Section):
    """What the training loop reads. A network's `Settings` extends it."""

    weights: str = Field(min_length=1)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)  # batch normalisation has no variance to work with in a batch of one
    learning_rate: PositiveFloat
    weight_decay: float = Field(ge=0)
    warmup_epochs: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)


class Search(Section):
    """params.yaml's section `tune.<network>`."""

    trials: int = Field(ge=1)
    epochs: int = Field(ge=1)
    startup_trials: int = Field(ge=1)
    pruning_warmup_epochs: int = Field(ge=0)
