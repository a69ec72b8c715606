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
from stages.lib.averaging import WeightAverage
from stages.lib.checkpoints import Checkpoint, same_layout
from stages.lib.faster_layers import with_faster_layers
from stages.lib.hyperparameters import Recipe, Training
from stages.lib.on_the_fly import varied
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
    recipe: Recipe
    head: str  # how the names of the weights begin that no pre-training brings
    seed: int


class Learner(NamedTuple):
    """A network in training, with what changes it."""

    model: nn.Module
    average: WeightAverage | None
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.average.model if self.average else self.model


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
    learner, epochs = _learner(build, task), task.recipe.settings.epochs
    progress = (checkpoint and _resumed(checkpoint, learner)) or Progress()
    done = len(progress.history)
    start = time.perf_counter() - progress.seconds
    images = len(task.training)
    with tqdm(total=epochs * images, initial=done * images, desc=description, unit=" images", disable=None) as bar:
        for number in range(done + 1, epochs + 1):
            learning_rate = float(learner.schedule.get_last_lr()[0])
            loss, accuracy = _train_epoch(learner, task, number, bar)
            epoch = Epoch(number, learning_rate, loss, accuracy, *_validate(learner.judged, task.validation))
            progress.history.append(epoch)
            if best_epoch(progress.history) == number:
                progress.best = {name: tensor.clone() for name, tensor in learner.judged.state_dict().items()}
            progress.seconds = time.perf_counter() - start
            bar.write(_line(description, epoch, epochs))
            if checkpoint is not None and number < epochs:
                _save(checkpoint, learner, progress)
            if after_epoch is not None:
                after_epoch(epoch)
    learner.judged.load_state_dict(progress.best)
    return Fit(learner.judged, progress.history, best_epoch(progress.history), time.perf_counter() - start)


def _save(checkpoint: Checkpoint, learner: Learner, progress: Progress) -> None:
    moments = {
        f"optimizer {number} {name}": tensor
        for number, parameter in enumerate(learner.model.parameters())
        for name, tensor in learner.optimizer.state[parameter].items()
    }
    model = {f"model {name}": tensor for name, tensor in learner.model.state_dict().items()}
    if learner.average:
        model |= {f"average {name}": tensor for name, tensor in learner.average.model.state_dict().items()}
    # the best epoch is most often the last: then its weights are there already, and less is written
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
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(" ")
        parts[part][rest] = tensor
    learner.model.load_state_dict(parts["model"])
    if learner.average:
        learner.average.model.load_state_dict(parts["average"])
    for number, parameter in enumerate(learner.model.parameters()):
        if not parameter.requires_grad:
            continue
        state = {name: parts["optimizer"][f"{number} {name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
        learner.optimizer.state[parameter] = {
            "step": state["step"].to(parameter.device),
            **{name: same_layout(state[name], parameter) for name in ("exp_avg", "exp_avg_sq")},
        }
    _fast_forward(learner.schedule, notes["steps"])
    best = parts["best"] or parts["average"] or parts["model"]
    return Progress([Epoch(*epoch) for epoch in notes["history"]], best, notes["seconds"])


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
    settings = task.recipe.settings
    steps = math.ceil(len(task.training) / settings.batch_size)
    model = with_faster_layers(build().to(device.device()).to(memory_format=torch.channels_last))
    average = WeightAverage(model, settings.ema_epochs * steps) if settings.ema_epochs else None
    optimizer = torch.optim.AdamW(parameter_groups(model, settings, task.head), fused=True)
    schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step / steps, settings))
    return Learner(model, average, optimizer, schedule)


def parameter_groups(model: nn.Module, settings: Training, head: str) -> list[dict[str, Any]]:
    """Return the weights that learn, those alike in learning rate and weight decay together.

    Pre-trained weights learn `backbone_learning_rate_factor` times as fast as the new head. Biases and what normalises
    are not decayed: that would not make the network simpler (He et al., Bag of tricks, 2019).
    """
    factor = 1.0 if settings.weights == "none" else settings.backbone_learning_rate_factor
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = settings.learning_rate * (1.0 if name.startswith(head) else factor)
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def train_mode(model: nn.Module) -> None:
    """Put a network into training, except for its frozen modules: what they normalise by stays as it was learnt."""
    model.train()
    for module in model.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.eval()


def _train_epoch(learner: Learner, task: Task, epoch: int, bar: Any) -> tuple[float, float]:
    training, settings = task.training, task.recipe.settings
    train_mode(learner.model)
    rng = stream(task.seed, "on the fly", epoch)
    torch.manual_seed(stream_seed(task.seed, "dropout", epoch))
    order = torch.from_numpy(stream(task.seed, "batches", epoch).permutation(len(training))).to(training.labels.device)
    # summed on the device: to ask for a number after each step would make it wait for us
    sums, seen = torch.zeros(2, dtype=torch.float64, device=order.device), 0
    for step, rows in enumerate(_batches(order, settings.batch_size)):
        images, labels = training.batch(rows)
        images, targets = varied(images, labels, len(training.class_names), task.recipe.on_the_fly, rng)
        with device.mixed_precision():
            logits = learner.model(images)
        loss = functional.cross_entropy(logits.float(), targets, label_smoothing=settings.label_smoothing)
        learner.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        learner.optimizer.step()
        learner.schedule.step()
        if learner.average:
            learner.average.update(learner.model, learner.schedule.last_epoch)
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
