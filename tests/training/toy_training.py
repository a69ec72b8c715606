"""A training that a test starts in several processes: `python -m tests.training.toy_training FILE NETWORK`.

It writes to FILE what the first process saw: the images' order, the epochs, and the weights' sum. Where a file
`die` lies beside it, the last process removes that and ends, without a word, in the second epoch.
"""

import json
import os
from pathlib import Path

import torch

from stages.hardware import device, distributed
from stages.hardware.torchrun import with_torchrun
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.training import loop
from stages.training.checkpoint import Checkpoint
from stages.training.state import Task
from tests.conftest import network_settings

ON_THE_FLY = {"enabled": True, "flip": True, "shift": 0.1, "crop": 1, "mixup": 0, "cutmix": 1}


def images(count: int, seed: int) -> ImageSet:
    """Noise, brighter for the second class."""
    drawn = torch.randint(0, 160, (count, 64, 64, 3), generator=torch.Generator().manual_seed(seed)).byte()
    labels = torch.arange(count) % 2
    return ImageSet(drawn + 60 * labels[:, None, None, None].byte(), labels, ["a", "b"], [""] * count)


@with_torchrun
def main(file: str, network: str) -> None:
    """Train for two epochs, with a last batch of two images."""
    if network == "none":
        raise UserError("nothing to train", "say which network")
    device.precision = lambda: torch.float32
    torch.nn.Dropout.forward = lambda _, features: features  # each process hides others
    order: list[int] = []
    epochs: list[int] = []
    chosen, train_epoch = ImageSet.chosen, loop._train_epoch

    def watched(self, batches):
        order.extend(row for batch in batches for row in batch.tolist())
        return chosen(self, batches)

    def mortal(state, task, epoch, bar):
        epochs.append(epoch)
        result = train_epoch(state, task, epoch, bar)
        death = Path(file).with_name("die")
        if epoch == 2 and distributed.rank() == distributed.count() - 1 and death.exists():
            death.unlink()
            os._exit(9)
        return result

    ImageSet.chosen, loop._train_epoch = watched, mortal
    trainable_prefixes = {"optimizer": "muon" if network == "own_cnn" else "adamw", "learning_rate": 1e-4}
    settings = network_settings(network, epochs=2, batch_size=8, warmup_epochs=0, **trainable_prefixes)
    task = Task(
        network_named(network),
        TrainingConfig(settings, OnlineAugmentation(**ON_THE_FLY)),
        images(18, 1),
        images(7, 2),
        1,
    )
    result = loop.fit(task, "toy", checkpoint=Checkpoint("toy", f"{network}-{distributed.count()}"))
    if distributed.is_rank_zero():
        weights = float(sum(weight.double().abs().sum() for weight in result.model.state_dict().values()))
        seen = {"order": order, "epochs": epochs, "history": result.history, "weights": weights}
        Path(file).write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
