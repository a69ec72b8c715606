"""A network in training: what learns, at which rate, and what is kept of it."""

import copy
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from stages.hardware import device, distributed
from stages.kernels.accelerate import accelerate
from stages.kernels.batch_norm import convert_sync_batchnorm
from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.image_set import ImageSet
from stages.networks.common.prediction import add_flip_tta
from stages.networks.common.settings import TrainingConfig, TrainingSettings
from stages.networks.common.starting_point import new_network
from stages.runtime.seeding import derived_seed
from stages.training.ema import ExponentialMovingAverage
from stages.training.fitted_head import start_with_fitted_head
from stages.training.muon import Muon

OPTIMIZERS: dict[str, type[torch.optim.AdamW]] = {"adamw": torch.optim.AdamW, "muon": Muon}


class Task(NamedTuple):
    """What to learn from, how, and with which random draws."""

    network: NetworkDefinition[Any]
    config: TrainingConfig
    training: ImageSet
    validation: ImageSet
    seed: int

    def images_per_epoch(self) -> int:
        """Return how many images an epoch takes: each once, or with all its copies."""
        return len(self.training.originals()[0]) if self.config.settings.equal_steps else len(self.training)


class TrainingState(NamedTuple):
    """A network in training, with what changes it."""

    model: nn.Module
    ddp_model: nn.Module  # the same network, its gradients those of all processes
    ema: ExponentialMovingAverage | None
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR

    @property
    def evaluated_model(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.ema.model if self.ema else self.model


def new_training_state(task: Task) -> TrainingState:
    """Return a task's network before its first step, with all that it is trained by."""
    torch.manual_seed(derived_seed(task.seed, "initial weights"))
    settings, training = task.config.settings, task.training
    steps = math.ceil(task.images_per_epoch() / settings.batch_size)
    model = new_network(task.network, settings, len(training.class_names), training.image_size)
    model = model.to(device.device()).to(memory_format=torch.channels_last)
    model = accelerate(model) if distributed.count() == 1 else with_synchronised_layers(model)
    if settings.weights != "none":
        start_with_fitted_head(model, task.network.head, training, settings.head_shrinkage, task.seed)
    if settings.flip_tta:
        add_flip_tta(model)
    ema = ExponentialMovingAverage(model, settings.ema_epochs * steps) if settings.ema_epochs else None
    optimizer = OPTIMIZERS[settings.optimizer](parameter_groups(model, settings, task.network.head), fused=True)
    schedule = LambdaLR(optimizer, lambda step: learning_rate_factor(step / steps, settings))
    return TrainingState(model, distributed.distributed_model(model), ema, optimizer, schedule)


def with_synchronised_layers(model: nn.Module) -> nn.Module:
    """Return a network that normalises what all processes have of a batch: on an accelerator by torch's own layers."""
    if device.device().type != "cpu":
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return shared
    return convert_sync_batchnorm(accelerate(model))


def learning_rate_factor(epoch: float, settings: TrainingSettings) -> float:
    """Return the share of the learning rate in use after `epoch` epochs: a linear warm-up, then half a cosine to 0.

    Source of the cosine: Loshchilov and Hutter, SGDR, 2017.
    """
    if epoch < settings.warmup_epochs:
        return (epoch + 1e-2) / (settings.warmup_epochs + 1e-2)
    decay = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    return (1 + math.cos(math.pi * min(decay, 1.0))) / 2


def parameter_groups(model: nn.Module, settings: TrainingSettings, head: str) -> list[dict[str, Any]]:
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


def train_mode(model: nn.Module, *, keep_statistics: bool = False) -> None:
    """Put a network into training, except for its frozen modules: what they normalise by stays as it was learnt.

    With `keep_statistics` that holds for all modules that normalise by statistics of a batch: those of a few images
    would change what the fitted head was fitted to.
    """
    model.train()
    for module in model.modules():
        weights = list(module.parameters())
        is_frozen = bool(weights) and not any(weight.requires_grad for weight in weights)
        if is_frozen or (keep_statistics and isinstance(module, nn.modules.batchnorm._BatchNorm)):
            module.eval()


def compile_kernels(state: TrainingState, task: Task) -> None:
    """Train and ask a copy of the network for one step: a kernel is compiled when it is first called.

    That takes seconds, once on a machine, which are no part of what the first of its trainings takes. The network and
    torch's stream of random numbers stay as they were.
    """
    trial, (images, _) = copy.deepcopy(state.model), task.training.batch(slice(0, 2))
    devices = [images.device] if images.is_cuda else []  # torch warns where it must guess among several
    with torch.random.fork_rng(devices), device.mixed_precision():
        train_mode(trial, keep_statistics=task.config.settings.weights != "none")
        trial(images).float().sum().backward()
        with torch.inference_mode():
            trial.eval()(images)
