"""How far a training has come, and how it goes on from a checkpoint as if it had never been interrupted."""

from dataclasses import dataclass, field

from torch import Tensor

from stages.hardware import distributed
from stages.training.checkpoint import Checkpoint
from stages.training.history import Epoch, best_epoch
from stages.training.state import TrainingState


@dataclass
class Progress:
    """How far a training has come: its epochs, the weights of the best one, and the seconds it took."""

    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


def save(checkpoint: Checkpoint, state: TrainingState, progress: Progress) -> None:
    """Write down where a training is after an epoch; of several processes the first does."""
    if not distributed.is_rank_zero():
        return
    # the best epoch is most often the last: then its weights are there already, and less is written
    is_last = best_epoch(progress.history) == len(progress.history)
    checkpoint.save(
        {
            "model": state.model.state_dict(),
            "average": state.ema.model.state_dict() if state.ema else None,
            "optimizer": state.optimizer.state_dict(),
            "schedule": state.schedule.state_dict(),
            "history": [tuple(epoch) for epoch in progress.history],
            "best": None if is_last else progress.best,
            "seconds": progress.seconds,
        }
    )


def resume(checkpoint: Checkpoint, state: TrainingState) -> Progress | None:
    """Put a training where its checkpoint is; return the progress until then, or None where there is no checkpoint."""
    saved = distributed.broadcast_from_first(checkpoint.restore)
    if saved is None:
        return None
    state.model.load_state_dict(saved["model"])
    if state.ema:
        state.ema.model.load_state_dict(saved["average"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.schedule.load_state_dict(saved["schedule"])
    best = saved["best"] or saved["average"] or saved["model"]
    return Progress([Epoch(*epoch) for epoch in saved["history"]], best, saved["seconds"])
