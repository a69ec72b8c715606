"""How far a training has come, and how it goes on from a checkpoint as if it had never been interrupted."""

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from stages.hardware import distributed
from stages.training.checkpoint import Checkpoint, same_layout
from stages.training.state import TrainingState

STEP = "step"  # of AdamW's state: how many there were; all else has its parameter's shape


class Epoch(NamedTuple):
    """What one pass over the training images came to.

    The loss is that of the training, on average, the validation loss always the mean cross entropy in nats; scaled, it
    is that at the temperature which makes it lowest.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    validation_temperature_scaled_loss: float


@dataclass
class Progress:
    """How far a training has come: its epochs, the weights of the best one, and the seconds it took."""

    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


def best_epoch(history: list[Epoch]) -> int:
    """Return the number of the epoch with the lowest scaled validation loss, the first among equals.

    On a few dozen images it tells good epochs from bad ones that their accuracy takes for the same; and unscaled it
    would take epochs for bad in which a network gets too sure of itself, which the stage evaluate makes good. Where all
    is right, and scaling leaves no loss at all, the unscaled one tells.
    """
    return min(history, key=lambda epoch: (epoch.validation_temperature_scaled_loss, epoch.validation_loss)).epoch


def is_out_of_patience(history: list[Epoch], patience: int) -> bool:
    """Say whether the last `patience` epochs have brought no lower scaled validation loss; with 0, never."""
    return 0 < patience <= len(history) - (best_epoch(history) if history else 0)


def save(checkpoint: Checkpoint, state: TrainingState, progress: Progress) -> None:
    """Write down where a training is after an epoch; of several processes the first does."""
    if not distributed.is_rank_zero():
        return
    moments = {
        f"optimizer {number} {name}": tensor
        for number, parameter in enumerate(state.model.parameters())
        for name, tensor in state.optimizer.state[parameter].items()
    }
    model = {f"model {name}": tensor for name, tensor in state.model.state_dict().items()}
    if state.ema:
        model |= {f"average {name}": tensor for name, tensor in state.ema.model.state_dict().items()}
    # the best epoch is most often the last: then its weights are there already, and less is written
    is_last = best_epoch(progress.history) == len(progress.history)
    best = {} if is_last else {f"best {name}": tensor for name, tensor in progress.best.items()}
    notes = {"history": progress.history, "seconds": progress.seconds, "steps": state.schedule.last_epoch}
    checkpoint.save(model | best | moments, notes)


def resumed(checkpoint: Checkpoint, state: TrainingState) -> Progress | None:
    """Put a learner where its checkpoint is; return the progress until then, or None where there is no checkpoint."""
    restored = distributed.broadcast_from_first(checkpoint.restore)
    if restored is None:
        return None
    tensors, notes = restored
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(" ")
        parts[part][rest] = tensor
    state.model.load_state_dict(parts["model"])
    if state.ema:
        state.ema.model.load_state_dict(parts["average"])
    parameters = list(state.model.parameters())
    for key, value in parts["optimizer"].items():
        number, _, name = key.partition(" ")
        parameter = parameters[int(number)]
        restored_value = value.to(parameter.device) if name == STEP else same_layout(value, parameter)
        state.optimizer.state[parameter][name] = restored_value
    _fast_forward(state.schedule, notes["steps"])
    best = parts["best"] or parts["average"] or parts["model"]
    return Progress([Epoch(*epoch) for epoch in notes["history"]], best, notes["seconds"])


def _fast_forward(schedule: LambdaLR, steps: int) -> None:
    schedule.last_epoch = steps
    rates = [base * factor(steps) for base, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
    schedule._last_lr = rates  # LambdaLR has no public way to a step but through all before it
    for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
