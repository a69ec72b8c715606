"""The training of one run of the study, from its files to its files."""

from pathlib import Path

from stages.hardware import device, distributed
from stages.hardware.torchrun import with_torchrun
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.pretrained import expected_input
from stages.networks.common.settings import config_from
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from stages.runtime.runs import Run
from stages.training.finished import place
from stages.training.loop import DivergedError
from stages.training.results import trained
from stages.training.state import Task


@with_torchrun
def train(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train a run, given as the words of its stage, and put what comes of it into data/trained.

    Raises UserError where nothing comes of it, for it diverged.
    """
    run, chosen = Run(network, hyperparameters, data, int(seed)), network_named(network)
    config = config_from(chosen.schema, read_json(f"data/hyperparameters/{network}/{hyperparameters}.json"))
    device.be_deterministic()
    device.keep_freed_memory()
    expected = expected_input(chosen, config.settings)
    training, validation = (load_images(f"data/{name}", device.device(), *expected) for name in (data, "validation"))
    try:
        folder = trained(Task(chosen, config, training, validation, run.seed), data, str(run))
    except DivergedError as error:
        raise UserError(str(error)) from None
    if distributed.is_rank_zero():
        place(folder, Path(f"data/trained/{run}"))
