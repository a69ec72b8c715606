"""Stage train: train one network with one set of hyperparameters on one set of images."""

import time
from pathlib import Path

from stages.networks.common.starting_point import read_starting_point
from stages.runtime.command import run_stage
from stages.runtime.files import atomic_folder, read_json
from stages.runtime.runs import Run, refer_to
from stages.training.copying import copy_training


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Train one network with one set of hyperparameters on one set of images, from one seed.

    What the search has trained already is copied; a tuned run with the settings of the default one refers to that. Of a
    frozen backbone the head alone is fitted, to its features.
    """
    run = Run(network, hyperparameters, data, int(seed))
    searched = Path(f"data/hyperparameters/{network}/trained-{hyperparameters}")
    source = read_json(searched / "source.json")
    if "same_as" in source:
        refer_to(run._replace(hyperparameters=source["same_as"]), f"data/trained/{run}")
    elif source == {"data": data, "seed": run.seed}:
        copy_training(searched, Path(f"data/trained/{run}"))
    elif read_starting_point(network).frozen:
        from stages.training.head_run import load_head_data, write_head

        began, values = time.perf_counter(), read_json(f"data/hyperparameters/{network}/{hyperparameters}.json")
        features = load_head_data(network, data, run.seed, flip_tta=values["flip_tta"])
        with atomic_folder(f"data/trained/{run}") as folder:
            write_head(network, values, features, folder, began)
    else:
        from stages.training.run import train  # imports torch, which takes longer than to copy

        train(network, hyperparameters, data, seed)


if __name__ == "__main__":
    run_stage(main)
