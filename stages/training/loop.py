"""The training loop, one for all networks."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from stages.hardware import device, distributed
from stages.networks.common.image_set import ImageSet
from stages.networks.common.prediction import predict
from stages.runtime.seeding import derived_seed, stream
from stages.statistics.temperature import temperature_scaled_cross_entropies
from stages.training.checkpoint import Checkpoint
from stages.training.history import Epoch, best_epoch, stops_early
from stages.training.losses import training_loss
from stages.training.online_augmentation import Batch, augmented_batch
from stages.training.resume import Progress, resume, save
from stages.training.state import Task, TrainingState, compile_kernels, new_training_state, train_mode

STEPS_BETWEEN_POSTFIXES = 10
DIVERGENCE_FACTOR = 100  # times the loss of guessing


class DivergedError(Exception):
    """A training that has diverged in its first epoch, so that nothing of it can be kept."""


class TrainingResult(NamedTuple):
    """A trained network with the weights of its best epoch, all epochs, and the seconds that training took."""

    model: nn.Module
    history: list[Epoch]
    seconds: float
    diverged: bool = False  # the training ended early, in an epoch whose loss is absurd; those before are kept


def fit(
    task: Task,
    description: str,
    after_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train a task's network and keep its best epoch.

    The same arguments give the same bits on the same device with the same number of threads, also where `checkpoint`
    holds the first epochs of an interrupted training. `after_epoch` is called with each epoch and may end the training
    by an exception of its own. A training that diverges ends in that epoch: with what its earlier epochs have
    reached, or by DivergedError where it is the first.
    """
    state, epochs = new_training_state(task), task.config.settings.epochs
    progress = (checkpoint and resume(checkpoint, state)) or Progress()
    done = len(progress.history)
    if done and distributed.is_local_rank_zero():
        print(f"{description}: goes on after epoch {done} of {epochs}", file=sys.stderr)
    compile_kernels(state, task)
    start, diverged, images = time.perf_counter() - progress.seconds, False, task.images_per_epoch()
    with tqdm(
        total=epochs * images,
        initial=done * images,
        desc=description,
        unit=" images",
        disable=not distributed.is_local_rank_zero() or None,
    ) as bar:
        for number in range(done + 1, epochs + 1):
            if stops_early(progress.history, task.config.settings.early_stopping_patience):
                bar.write(f"{description}: ends early, nothing was better than epoch {best_epoch(progress.history)}")
                break
            learning_rate = float(state.schedule.get_last_lr()[0])
            loss, accuracy = _train_epoch(state, task, number, bar)
            epoch = Epoch(number, learning_rate, loss, accuracy, *_validate(state.evaluated_model, task.validation))
            if diverged := has_diverged(epoch, len(task.training.class_names)):
                _report_divergence(description, epoch, task)
                break
            progress.history.append(epoch)
            if best_epoch(progress.history) == number:
                progress.best = {name: tensor.clone() for name, tensor in state.evaluated_model.state_dict().items()}
            progress.seconds = time.perf_counter() - start
            bar.write(_line(description, epoch, epochs))
            if checkpoint is not None and number < epochs:
                save(checkpoint, state, progress)
            if after_epoch is not None:
                after_epoch(epoch)
    state.evaluated_model.load_state_dict(progress.best)
    return TrainingResult(state.evaluated_model, progress.history, time.perf_counter() - start, diverged)


def has_diverged(epoch: Epoch, classes: int) -> bool:
    """Say whether an epoch's losses are no numbers, or its training loss is absurd: 100 times that of guessing."""
    return not math.isfinite(epoch.loss + epoch.validation_loss) or epoch.loss > DIVERGENCE_FACTOR * math.log(
        max(classes, 2)
    )


def _report_divergence(description: str, epoch: Epoch, task: Task) -> None:
    settings = task.config.settings
    message = (
        f"{description} diverged in epoch {epoch.epoch}: its loss is {epoch.loss:.3g}, on validation"
        f" {epoch.validation_loss:.3g}; lower learning_rate = {settings.learning_rate:g}, or raise warmup_epochs ="
        f" {settings.warmup_epochs:g}"
    )
    if epoch.epoch == 1:
        raise DivergedError(message)
    if distributed.is_local_rank_zero():
        print(f"{message}. The best of the {epoch.epoch - 1} epochs before is kept.", file=sys.stderr)


def epoch_order(task: Task, epoch: int) -> Tensor:
    """Return the rows of the training images in the order in which an epoch takes them, as int64 (n,).

    With `equal_steps`, each image comes once an epoch, as itself or as one of its copies; else all rows come. With
    `class_balance: sampling`, as many come, but each class equally often. All is drawn from streams of its own, so that
    original images come in the same order either way.
    """
    settings, training = task.config.settings, task.training
    every_row = np.arange(len(training)), np.ones(len(training), np.int64)
    rows, counts = training.originals() if settings.equal_steps else every_row
    order = stream(task.seed, "batches", epoch).permutation(len(rows))
    if settings.class_balance == "sampling":
        order = balanced(training.labels.cpu().numpy()[rows], stream(task.seed, "balance", epoch))[order]
    versions = stream(task.seed, "versions", epoch).integers(counts[order])
    return torch.from_numpy(rows[order] + versions)


def balanced(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return as many places in `labels` (n,), each label equally often, and of one label each place equally often.

    What does not come out even is drawn by lot. The places of one label stand together.
    """
    found = np.unique(labels)
    shares = np.full(len(found), len(labels) // len(found))
    shares[rng.permutation(len(found))[: len(labels) % len(found)]] += 1
    places = [rng.permutation(np.flatnonzero(labels == label)) for label in found]
    return np.concatenate([np.resize(*each) for each in zip(places, shares, strict=True)])


def _train_epoch(state: TrainingState, task: Task, epoch: int, bar: Any) -> tuple[float, float]:
    training, settings = task.training, task.config.settings
    train_mode(state.model, keep_statistics=settings.weights != "none")
    rng = stream(task.seed, "on the fly", epoch)
    torch.manual_seed(derived_seed(task.seed, "dropout", epoch, *([distributed.rank()] if distributed.rank() else [])))
    order = epoch_order(task, epoch).to(training.labels.device)
    # summed on the device: to ask for a number after each step would make it wait for us
    sums, seen = torch.zeros(2, dtype=device.sum_precision(), device=order.device), 0
    batches = _batches(order, settings.batch_size)
    for step, (rows, pixels) in enumerate(zip(batches, training.chosen(batches), strict=True)):
        # the whole batch in every process: what is drawn for it, and mixed, is then the same however many there are
        labels, part = training.labels[rows], distributed.part(len(rows))
        targets = functional.one_hot(labels, len(training.class_names)).float()
        batch = Batch(training.normalised(pixels), targets)
        images, targets = augmented_batch(batch, task.config.online_augmentation, rng, part)
        with device.mixed_precision():
            logits = state.ddp_model(images)
        loss = training_loss(logits, targets, settings).sum() / len(rows)
        state.optimizer.zero_grad()
        # gradients become the mean over the processes
        (loss * distributed.count()).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        state.optimizer.step()
        state.schedule.step()
        if state.ema:
            state.ema.update(state.model, state.schedule.last_epoch)
        sums += torch.stack([loss.detach() * len(rows), (logits.argmax(1) == labels[part]).sum()])
        seen += len(images)
        if not bar.disable and step % STEPS_BETWEEN_POSTFIXES == 0:
            loss_sum, correct = sums.tolist()
            bar.set_postfix_str(f"loss {loss_sum / seen:.3f}, accuracy {correct / seen:.3f}", refresh=False)
        bar.update(len(rows))
    loss_sum, correct = distributed.all_reduce(sums).tolist()
    return loss_sum / len(order), correct / len(order)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch's order into batches; a last one of a single image joins the one before it.

    Batch normalisation cannot learn from a batch of one.
    """
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _validate(model: nn.Module, validation: ImageSet) -> tuple[float, float, float]:
    logits, part = torch.zeros(len(validation), len(validation.class_names)), distributed.part(len(validation))
    with device.mixed_precision():
        if part.start < part.stop:  # fewer images than processes
            logits[part] = predict(model, validation, part)
    logits, labels = distributed.all_reduce(logits), validation.labels.cpu()
    loss, accuracy = functional.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean()
    if not math.isfinite(loss):
        return loss, accuracy.item(), loss
    scaled = temperature_scaled_cross_entropies(logits.double().numpy(), labels.numpy())
    return loss, accuracy.item(), float(scaled.mean())


def _line(description: str, epoch: Epoch, epochs: int) -> str:
    return (
        f"{description}: epoch {epoch.epoch}/{epochs}, loss {epoch.loss:.3f}, accuracy {epoch.accuracy:.3f},"
        f" validation loss {epoch.validation_loss:.3f} ({epoch.validation_temperature_scaled_loss:.3f} scaled),"
        f" validation accuracy {epoch.validation_accuracy:.3f}"
    )
