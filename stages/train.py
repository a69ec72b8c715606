"""Stage train: train one network with one set of hyperparameters on one set of images."""

from pathlib import Path

from stages.runtime.command import run_stage
from stages.runtime.files import read_json
from stages.runtime.runs import Run
from stages.training.copying import copy_training


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train one network with one set of hyperparameters on one set of images, from one seed.

    What the search has trained already is copied.
    """
    run = Run(network, hyperparameters, data, int(seed))
    searched = Path(f"data/hyperparameters/{network}/trained-{hyperparameters}")
    if read_json(searched / "source.json") == {"data": data, "seed": run.seed}:
        copy_training(searched, Path(f"data/trained/{run}"))
    else:
        from stages.training.run import train  # imports torch, which takes longer than to copy

        train(network, hyperparameters, data, seed)


if __name__ == "__main__":
    run_stage(main)
