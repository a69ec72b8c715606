"""Weights of one set of photographs as a start for another: trained here, put into a study's folder.

    python -m experiments.pretraining tiny-imagenet-200.tar STUDY own_cnn epochs=40 loss=both

Trains a network on all images of an archive or folder, in a study of its own, with the settings of params.yaml but
for those that are named; keeps its weights as `make weights` does, and copies them to
STUDY/data/pretrained/<network>/<name of the archive>.safetensors. Prints the network's accuracy on its own test
images. What the weights are worth is then seen in STUDY:

    WEIGHTS=data/pretrained/own_cnn/tiny-imagenet-200.safetensors
    python -m experiments.ablation own_cnn original 1,2,3 "" weights=$WEIGHTS
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from helpers.projects import ENVIRONMENT, copy_project, run, set_params
from helpers.timing import machine
from stages.reporting.markdown import duration, percent
from stages.runtime.files import read_json


def main(images: Path, study: Path, network: str, changes: dict[str, Any]) -> None:
    """Train on the images; put the weights into the study's folder."""
    name, weights = f"{network}-default-original-1", f"data/pretrained/{network}/{images.stem}.safetensors"
    with TemporaryDirectory(prefix="pretraining.") as temporary:
        folder = Path(temporary)
        copy_project(folder)
        set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path=str(images))
        set_params(folder, study__networks=[network], study__hyperparameters=["default"], study__data=["original"])
        set_params(folder, **{f"networks__{network}__{setting}": value for setting, value in changes.items()})
        subprocess.run(["dvc", "repro", f"evaluate@{name}"], cwd=folder, env=ENVIRONMENT, check=True)
        run(sys.executable, "-m", "stages.commands.keep_weights", name, images.stem, folder=folder)
        (study / weights).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / weights, study / weights)
        record = read_json(folder / f"metrics/runs/{name}.json")
        timing = read_json(folder / f"data/trained/{name}/timing.json")
    right, seconds = percent(record["accuracy"]), duration(timing["seconds"])
    print(f"{machine()}\n{network}: {right} of its own test images right after {seconds}; weights in {study / weights}")


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[4:])
    settings = {setting: yaml.safe_load(value) for setting, value in given.items()}
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3], settings)
