"""Stage train: train one network with one set of hyperparameters on one set of images."""

from pathlib import Path

from stages.runtime.command import run_stage
from stages.runtime.files import read_json
from stages.runtime.runs import Run
from stages.training.done_before import done_before
from stages.training.finished import place, training_key


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train one network with one set of hyperparameters on one set of images, from one seed."""
    run = Run(network, hyperparameters, data, int(seed))
    folder = done_before(lambda: key_of_run(run))
    if folder and Path(folder).is_dir():
        place(Path(folder), Path(f"data/trained/{run}"))
        return
    from stages.training.run import train  # imports torch, which takes longer than to place what is there

    train(network, hyperparameters, data, seed)


def key_of_run(run: Run) -> str:
    """Return the key of all that shapes a run's training but the hardware."""
    config = read_json(f"data/hyperparameters/{run.network}/{run.hyperparameters}.json")
    return training_key(run.network, config, run.data, run.seed)


if __name__ == "__main__":
    run_stage(main)
