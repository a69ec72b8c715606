"""The training loop, one for all networks."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from stages.lib import device
from stages.lib.checkpoints import Checkpoint, same_layout
from stages.lib.hyperparameters import Training
from stages.lib.picture_sets import PictureSet
from stages.lib.prediction import predict
from stages.lib.streams import stream, stream_seed

STEPS_BETWEEN_POSTFIXES = 10


class Epoch(NamedTuple):
    """What one pass over the training pictures came to; losses are mean cross entropies in nats."""

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


class Task(NamedTuple):
    """What to learn from, how, and with which random draws."""

    training: PictureSet
    validation: PictureSet
    settings: Training
    seed: int


class Learner(NamedTuple):
    """A network in training, with what changes it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR


@dataclass
class Progress:
    """How far a training has come: its epochs, the weights of the best one, and the seconds it took."""

    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


class Fit(NamedTuple):
    """A trained network with the weights of its best epoch, all epochs, and the seconds that training took."""

    model: nn.Module
    history: list[Epoch]
    best_epoch: int
    seconds: float


def fit(
    build: Callable[[], nn.Module],
    task: Task,
    description: str,
    after_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """Train the network that `build` returns and keep the epoch with the highest validation accuracy.

    The same arguments give the same bits on the same device with the same number of threads, also where `checkpoint`
    holds the first epochs of an interrupted training. `after_epoch` is told of each epoch and may end the training by
    an exception of its own.
    """
    learner, epochs = _learner(build, task), task.settings.epochs
    progress = (checkpoint and _resumed(checkpoint, learner)) or Progress()
    done = len(progress.history)
    start = time.perf_counter() - progress.seconds
    images = len(task.training)
    with tqdm(total=epochs * images, initial=done * images, desc=description, unit=" images", disable=None) as bar:
        for number in range(done + 1, epochs + 1):
            learning_rate = float(learner.schedule.get_last_lr()[0])
            loss, accuracy = _train_epoch(learner, task, number, bar)
            epoch = Epoch(number, learning_rate, loss, accuracy, *_validate(learner.model, task.validation))
            progress.history.append(epoch)
            if best_epoch(progress.history) == number:
                progress.best = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
            progress.seconds = time.perf_counter() - start
            bar.write(_line(description, epoch, epochs))
            if checkpoint is not None and number < epochs:
                _save(checkpoint, learner, progress)
            if after_epoch is not None:
                after_epoch(epoch)
    learner.model.load_state_dict(progress.best)
    return Fit(learner.model, progress.history, best_epoch(progress.history), time.perf_counter() - start)


def _save(checkpoint: Checkpoint, learner: Learner, progress: Progress) -> None:
    moments = {
        f"optimizer {number} {name}": tensor
        for number, parameter in enumerate(learner.model.parameters())
        for name, tensor in learner.optimizer.state[parameter].items()
    }
    model = {f"model {name}": tensor for name, tensor in learner.model.state_dict().items()}
    # the best epoch is most often the last: then its weights are the model's, and a quarter less is written
    is_last = best_epoch(progress.history) == len(progress.history)
    best = {} if is_last else {f"best {name}": tensor for name, tensor in progress.best.items()}
    notes = {"history": progress.history, "seconds": progress.seconds, "steps": learner.schedule.last_epoch}
    checkpoint.save(model | best | moments, notes)


def _resumed(checkpoint: Checkpoint, learner: Learner) -> Progress | None:
    """Put a learner where its checkpoint is; return the progress until then, or None where there is no checkpoint."""
    restored = checkpoint.restore()
    if restored is None:
        return None
    tensors, notes = restored
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(" ")
        parts[part][rest] = tensor
    learner.model.load_state_dict(parts["model"])
    for number, parameter in enumerate(learner.model.parameters()):
        state = {name: parts["optimizer"][f"{number} {name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
        learner.optimizer.state[parameter] = {
            "step": state["step"].to(parameter.device),
            **{name: same_layout(state[name], parameter) for name in ("exp_avg", "exp_avg_sq")},
        }
    _fast_forward(learner.schedule, notes["steps"])
    return Progress([Epoch(*epoch) for epoch in notes["history"]], parts["best"] or parts["model"], notes["seconds"])


def _fast_forward(schedule: LambdaLR, steps: int) -> None:
    schedule.last_epoch = steps
    rates = [base * factor(steps) for base, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
    schedule._last_lr = rates  # LambdaLR has no public way to a step but through all before it
    for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def best_epoch(history: list[Epoch]) -> int:
    """Return the number of the epoch with the highest validation accuracy; among equals, the lowest loss decides."""
    return max(history, key=lambda epoch: (epoch.validation_accuracy, -epoch.validation_loss)).epoch


def learning_rate_factor(epoch: float, settings: Training) -> float:
    """Return the share of the learning rate in use after `epoch` epochs: a linear warm-up, then half a cosine to 0.

    Source of the cosine: Loshchilov and Hutter, SGDR, 2017.
    """
    if epoch < settings.warmup_epochs:
        return (epoch + 1e-2) / (settings.warmup_epochs + 1e-2)
    decay = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    return (1 + math.cos(math.pi * min(decay, 1.0))) / 2


def _learner(build: Callable[[], nn.Module], task: Task) -> Learner:
    torch.manual_seed(stream_seed(task.seed, "initial weights"))
    settings, steps = task.settings, math.ceil(len(task.training) / task.settings.batch_size)
    model = build().to(device.device()).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    return Learner(model, optimizer, LambdaLR(optimizer, lambda step: learning_rate_factor(step / steps, settings)))


def _train_epoch(learner: Learner, task: Task, epoch: int, bar: Any) -> tuple[float, float]:
    training, settings = task.training, task.settings
    learner.model.train()
    torch.manual_seed(stream_seed(task.seed, "dropout", epoch))
    order = torch.from_numpy(stream(task.seed, "batches", epoch).permutation(len(training))).to(training.labels.device)
    # summed on the device: to ask for a number after each step would make it wait for us
    sums, seen = torch.zeros(2, dtype=torch.float64, device=order.device), 0
    for step, rows in enumerate(_batches(order, settings.batch_size)):
        images, labels = training.batch(rows)
        with device.mixed_precision():
            logits = learner.model(images)
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=settings.label_smoothing)
        learner.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        learner.optimizer.step()
        learner.schedule.step()
        sums += torch.stack([loss.detach() * len(labels), (logits.argmax(1) == labels).sum()])
        seen += len(labels)
        if not bar.disable and step % STEPS_BETWEEN_POSTFIXES == 0:
            loss_sum, correct = sums.tolist()
            bar.set_postfix_str(f"loss {loss_sum / seen:.3f}, accuracy {correct / seen:.3f}", refresh=False)
        bar.update(len(labels))
    loss_sum, correct = sums.tolist()
    return loss_sum / seen, correct / seen


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch's order into batches; a last one of a single picture joins the one before it.

    Batch normalisation cannot learn from a batch of one.
    """
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _validate(model: nn.Module, validation: PictureSet) -> tuple[float, float]:
    with device.mixed_precision():
        logits = predict(model, validation)
    labels = validation.labels.cpu()
    return functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean().item()


def _line(description: str, epoch: Epoch, epochs: int) -> str:
    return (
        f"{description}: epoch {epoch.epoch}/{epochs}, loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.3f},"
        f" validation loss {epoch.validation_loss:.3f}, validation accuracy {epoch.validation_accuracy:.3f}"
    )
