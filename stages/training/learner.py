"""A network in training: what learns, at which rate, and what is kept of it."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from stages.hardware import device, distributed
from stages.kernels.accelerate import with_faster_layers
from stages.kernels.sync_batch_norm import with_shared_norms
from stages.networks.common.contract import Network
from stages.networks.common.image_set import PictureSet
from stages.networks.common.prediction import mirror_predictions
from stages.networks.common.pretrained import new_network
from stages.networks.common.settings import Recipe, Training
from stages.runtime.seeding import stream_seed
from stages.training.ema import WeightAverage
from stages.training.losses import Loss, training_loss
from stages.training.muon import Muon

OPTIMIZERS: dict[str, type[torch.optim.AdamW]] = {"adamw": torch.optim.AdamW, "muon": Muon}


class Task(NamedTuple):
    """What to learn from, how, and with which random draws."""

    network: Network[Any]
    recipe: Recipe
    training: PictureSet
    validation: PictureSet
    seed: int

    def pictures_per_epoch(self) -> int:
        """Return how many pictures an epoch takes: each once, or with all its copies."""
        return len(self.training.originals()[0]) if self.recipe.settings.equal_steps else len(self.training)


class Learner(NamedTuple):
    """A network in training, with what changes it."""

    model: nn.Module
    together: nn.Module  # the same network, its gradients those of all processes
    average: WeightAverage | None
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    loss: Loss

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.average.model if self.average else self.model


def new_learner(task: Task) -> Learner:
    """Return a task's network before its first step, with all that it is trained by."""
    torch.manual_seed(stream_seed(task.seed, "initial weights"))
    settings, training = task.recipe.settings, task.training
    classes = len(training.class_names)
    steps = math.ceil(task.pictures_per_epoch() / settings.batch_size)
    model = new_network(task.network, settings, classes, training.image_size)
    model = model.to(device.device()).to(memory_format=torch.channels_last)
    model = with_faster_layers(model) if distributed.count() == 1 else with_layers_of_all(model)
    if settings.mirrored_prediction:
        mirror_predictions(model)
    average = WeightAverage(model, settings.ema_epochs * steps) if settings.ema_epochs else None
    optimizer = OPTIMIZERS[settings.optimizer](parameter_groups(model, settings, task.network.head), fused=True)
    schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step / steps, settings))
    together = distributed.learning_together(model)
    return Learner(model, together, average, optimizer, schedule, training_loss(settings, training.labels, classes))


def with_layers_of_all(model: nn.Module) -> nn.Module:
    """Return a network that normalises what all processes have of a batch: on an accelerator by torch's own layers."""
    if device.device().type != "cpu":
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return shared
    return with_shared_norms(with_faster_layers(model))


def learning_rate_factor(epoch: float, settings: Training) -> float:
    """Return the share of the learning rate in use after `epoch` epochs: a linear warm-up, then half a cosine to 0.

    Source of the cosine: Loshchilov and Hutter, SGDR, 2017.
    """
    if epoch < settings.warmup_epochs:
        return (epoch + 1e-2) / (settings.warmup_epochs + 1e-2)
    decay = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    return (1 + math.cos(math.pi * min(decay, 1.0))) / 2


def parameter_groups(model: nn.Module, settings: Training, head: str) -> list[dict[str, Any]]:
    """Return the weights that learn, those alike in learning rate, weight decay and being Muon's matrices together.

    Pre-trained weights learn `backbone_learning_rate_factor` times as fast as the new head. Biases and what normalises
    are not decayed: that would not make the network simpler (He et al., Bag of tricks, 2019).
    """
    factor = 1.0 if settings.weights == "none" else settings.backbone_learning_rate_factor
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = settings.learning_rate * (1.0 if name.startswith(head) else factor)
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay, is_matrix(parameter) and not name.startswith(head)), []).append(parameter)
    return [
        {"params": params, "lr": rate, "weight_decay": decay, "matrices": matrices}
        for (rate, decay, matrices), params in groups.items()
    ]


def is_matrix(weight: Tensor) -> bool:
    """Say whether a weight (N, ...) mixes channels, as all do but vectors and those of depthwise convolutions."""
    return weight.ndim > 1 and weight.shape[1] > 1


def train_mode(model: nn.Module) -> None:
    """Put a network into training, except for its frozen modules: what they normalise by stays as it was learnt."""
    model.train()
    for module in model.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.eval()
