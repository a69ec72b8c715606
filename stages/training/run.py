"""The training of one run of the study, from its files to its files."""

from stages.hardware import device, distributed
from stages.hardware.torchrun import with_torchrun
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.settings import config_from
from stages.networks.common.starting_point import read_starting_point
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, read_json
from stages.runtime.fingerprint import fingerprint
from stages.runtime.runs import Run
from stages.training.checkpoint import Checkpoint
from stages.training.loop import DivergedError, fit
from stages.training.state import Task
from stages.training.writing import hardware, write_training


@with_torchrun
def train(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train a run, given as the words of its stage, and write what comes of it into data/trained.

    An interrupted training goes on after its last epoch. Raises UserError where nothing comes of it, for it diverged.
    """
    run, chosen = Run(network, hyperparameters, data, int(seed)), network_named(network)
    values = read_json(f"data/hyperparameters/{network}/{hyperparameters}.json")
    config = config_from(chosen.schema, values)
    device.be_deterministic()
    device.keep_freed_memory()
    start = read_starting_point(network)
    training, validation = (
        load_images(f"data/{name}", device.device(), start.image_size, start.normalisation)
        for name in (data, "validation")
    )
    folders = [f"data/{data}", "data/validation", f"data/weights/{network}"]
    checkpoint = Checkpoint(str(run), fingerprint([*run, values], folders, hardware()))
    task = Task(chosen, config, training, validation, run.seed)
    try:
        result = fit(task, str(run), checkpoint=checkpoint)
    except DivergedError as error:
        raise UserError(str(error)) from None
    if distributed.is_rank_zero():
        with atomic_folder(f"data/trained/{run}") as folder:
            write_training(task, result, folder)
        checkpoint.remove()
