"""Stage train: train one network with one set of hyperparameters on one set of pictures."""

from pathlib import Path

from stages.inference import device
from stages.inference.networks import network_named
from stages.inference.picture_sets import load_pictures
from stages.inference.recipes import recipe_of
from stages.inference.runs import Run
from stages.learning.launching import together
from stages.learning.learners import Task
from stages.learning.pretrained import expected_pictures
from stages.learning.training import DivergedError
from stages.learning.trainings import place, trained
from stages.support.command import run_stage
from stages.support.files import read_json
from stages.support.problems import Problem


@together
def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train one network with one set of hyperparameters on one set of pictures, from one seed."""
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
    place(folder, Path(f"data/trained/{run}"))


if __name__ == "__main__":
    run_stage(main)
