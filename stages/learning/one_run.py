"""The training of one run of the study, from its files to its files."""

from pathlib import Path

from stages.inference import device, processes
from stages.inference.networks import network_named
from stages.inference.picture_sets import load_pictures
from stages.inference.recipes import recipe_of
from stages.inference.runs import Run
from stages.learning.finished import place
from stages.learning.launching import together
from stages.learning.learners import Task
from stages.learning.pretrained import expected_pictures
from stages.learning.training import DivergedError
from stages.learning.trainings import trained
from stages.support.files import read_json
from stages.support.problems import Problem


@together
def train(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train a run, given as the words of its stage, and put what comes of it into data/trained.

    Raises Problem where nothing comes of it, for it diverged.
    """
    run, chosen = Run(network, hyperparameters, data, int(seed)), network_named(network)
    recipe = recipe_of(chosen.schema, read_json(f"data/hyperparameters/{network}/{hyperparameters}.json"))
    device.be_deterministic()
    device.keep_freed_memory()
    expected = expected_pictures(chosen, recipe.settings)
    training, validation = (load_pictures(f"data/{name}", device.device(), *expected) for name in (data, "validation"))
    try:
        folder = trained(Task(chosen, recipe, training, validation, run.seed), data, str(run))
    except DivergedError as error:
        raise Problem(str(error)) from None
    if processes.is_first():
        place(folder, Path(f"data/trained/{run}"))
