"""What trains a network in benchmarks.training: this project, and what a user might take instead.

Each function prepares its training, in a process of its own, and trains an epoch after each `pause`. All train the same
networks on the same JPEG files with the same batch size; none changes the images at random. All but the plain loop
train in the precision that is fastest here.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from helpers.timing import Pause
from stages.hardware import device
from stages.kernels.accelerate import accelerate
from stages.networks.common.contract import IMAGENET, network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig, TrainingSettings
from stages.training.history import Epoch
from stages.training.loop import fit
from stages.training.state import Task

WORKERS = 2  # that decode images for those who read them from files
RATE = 1e-3
UNVARIED = OnlineAugmentation(enabled=False, flip=False, shift=0, crop=1, mixup=0, cutmix=0)
MEANS, DEVIATIONS = ([value / 255 for value in values] for values in IMAGENET)


class Work(NamedTuple):
    """A network to train on the images below `folder`: images/<class>/*.jpg, and the same as shards."""

    network: str
    settings: TrainingSettings
    folder: Path
    classes: int
    size: int
    batch: int


def ours(work: Work, pause: Pause) -> None:
    """Train as stage train does. A round is an epoch, and reading the shards anew though one training does so once."""
    device.be_deterministic()
    device.keep_freed_memory()
    settings = work.settings.model_copy(update={"epochs": 1_000, "batch_size": work.batch, "optimizer": "adamw"})
    images, few = (load_images(work.folder / name, device.device()) for name in ("shards", "few"))
    task = Task(network_named(work.network), TrainingConfig(settings, UNVARIED), images, few, seed=1)

    def after_epoch(_: Epoch) -> None:
        load_images(work.folder / "shards", device.device())
        pause()

    pause()
    fit(task, "", after_epoch)


def torch_step(work: Work, pause: Pause) -> None:
    """Repeat the step alone, of torch's own layers, on one batch that is there already."""
    repeat_step(work, pause, _model(work, published=False))


def our_step(work: Work, pause: Pause) -> None:
    """Repeat the step alone of the layers that stage train computes with: its limit."""
    repeat_step(work, pause, accelerate(_model(work, published=False)))


def repeat_step(work: Work, pause: Pause, model: nn.Module) -> None:
    """Do as many steps as an epoch has after each `pause`, all on the same batch."""
    device.be_deterministic()
    device.keep_freed_memory()
    model = model.to(memory_format=torch.channels_last).to(device.device())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    images, labels = next(iter(load_images(work.folder / "shards", device.device()).batches(work.batch)))
    steps = _steps(work)

    while True:
        pause()
        for _ in range(steps):
            with device.mixed_precision():
                logits = model(images)
            loss = functional.cross_entropy(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def plain(work: Work, pause: Pause) -> None:
    """Train as PyTorch's tutorials do: ImageFolder, DataLoader, float32, a running loss."""
    from torchvision.datasets import ImageFolder

    loader = DataLoader(
        ImageFolder(work.folder / "images", _transform()), work.batch, shuffle=True, num_workers=WORKERS
    )
    model = _model(work, published=True).to(device.device())
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    while True:
        pause()
        running = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images.to(device.device())), labels.to(device.device()))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            running += loss.item()


def lightning(work: Work, pause: Pause) -> None:
    """Train with Lightning's Trainer at its best: channels_last, workers that stay, bf16-mixed where that is faster."""
    import logging
    import warnings

    import lightning as trainers
    from torchvision.datasets import ImageFolder

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")  # hints on settings that were tried: they are those of the other sides

    class Pauses(trainers.Callback):  # type: ignore[misc]
        def on_train_start(self, *_: Any) -> None:
            pause()

        def on_train_epoch_end(self, *_: Any) -> None:
            pause()

    loader = DataLoader(
        ImageFolder(work.folder / "images", _transform()),
        work.batch,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )

    trainer = trainers.Trainer(
        max_epochs=-1,
        precision="32-true" if device.precision() == torch.float32 else "bf16-mixed",
        callbacks=[Pauses()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(_lightning_module(work), loader)


def _lightning_module(work: Work) -> Any:
    import lightning as trainers

    class Classifier(trainers.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = _model(work, published=True).to(memory_format=torch.channels_last)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
            images = batch[0].to(memory_format=torch.channels_last)
            return functional.cross_entropy(self.model(images), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=RATE, fused=True)

    return Classifier()


def timm(work: Work, pause: Pause) -> None:
    """Train as timm's train.py does with --channels-last --no-aug; --amp --amp-dtype bfloat16 where that is faster.

    That script is not part of the package; this puts the same of timm's parts together in the same way.
    """
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    model = _model(work, published=True).to(device.device()).to(memory_format=torch.channels_last)
    loader = create_loader(
        create_dataset("", root=str(work.folder / "images")),
        input_size=(3, work.size, work.size),
        batch_size=work.batch,
        is_training=True,
        no_aug=True,
        mean=tuple(MEANS),
        std=tuple(DEVIATIONS),
        num_workers=WORKERS,
        device=device.device(),
    )
    optimizer = create_optimizer_v2(model, opt="adamw", lr=RATE)

    while True:
        pause()
        running = 0.0
        for images, labels in loader:  # on the device and normalised: timm's loader does that
            with device.mixed_precision():
                loss = functional.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            running += loss.item() * len(labels)


SIDES = {
    "ours": ours,
    "plain": plain,
    "Lightning": lightning,
    "timm": timm,
    "torch's step": torch_step,
    "our step": our_step,
}


def _model(work: Work, *, published: bool) -> nn.Module:
    """Return the network; as published the own CNN's activations stand before its pools, where most would put them."""
    torch.manual_seed(1)
    model: nn.Module = network_named(work.network).build(work.settings, work.classes, work.size)
    if published and work.network == "own_cnn":
        layers = list(model.get_submodule("blocks").children())
        for index in range(2, len(layers), 4):
            layers[index : index + 2] = reversed(layers[index : index + 2])
        model.blocks = nn.Sequential(*layers)
    return model


def _transform() -> Any:
    from torchvision import transforms

    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEANS, DEVIATIONS)])


def _steps(work: Work) -> int:
    count = sum(1 for _ in (work.folder / "images").rglob("*.jpg"))
    return -(-count // work.batch)
