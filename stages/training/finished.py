"""Trainings that have ended: how one is known again, and how its files get into the folder of a run."""

import os
from pathlib import Path
from typing import Any

from stages.runtime.files import atomic_file
from stages.training.fingerprint import code_of, key_of

FINISHED = Path("data/checkpoints/trained")
FILES = ("weights.safetensors", "history.csv", "timing.json")


def training_key(network: str, config: Any, data: str, seed: int) -> str:
    """Return the key of all that shapes a training but the hardware, whichever stage asks for it.

    `config` is what TrainingConfig.values gives, `data` the folder below data/ that its training images come from.
    """
    folders = [f"data/{data}", "data/validation", f"data/pretrained/{network}"]
    return key_of(
        [network, config, seed],
        folders,
        code_of(network, "runtime", "hardware", "images", "statistics", "kernels", "training"),
    )


def place(folder: Path, target: Path) -> None:
    """Put a training's files into the folder of a run, without a second copy on the disk where that can be had."""
    for name in FILES:
        with atomic_file(target / name) as unfinished:
            try:
                os.link(folder / name, unfinished)
            except OSError:  # another file system, or one without hard links; shutil would name the source as full
                unfinished.write_bytes((folder / name).read_bytes())
