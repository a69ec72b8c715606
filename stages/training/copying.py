"""Trainings that the search has done already: their files are copied, without torch, which takes seconds to import."""

import shutil
from pathlib import Path

from stages.runtime.files import atomic_file, write_json
from stages.training.history import read_history, summary

WEIGHTS, GRAPH, HISTORY, TIMING = "weights.safetensors", "graph.onnx", "history.csv", "timing.json"


def copy_training(trained: Path, run: Path) -> None:
    """Copy weights, graph and history into the folder of a run, with a timing.json that says the same each time.

    The seconds, which vary, are in data/hyperparameters/<network>/timings.json, where the stage report finds them.
    """
    for name in (WEIGHTS, GRAPH, HISTORY):
        with atomic_file(run / name) as unfinished:
            shutil.copyfile(trained / name, unfinished)
    write_json(run / TIMING, {"taken_from": "tune", **summary(read_history(run / HISTORY))})
