"""Stage tune: the defaults first, then what the search makes of the trials before."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.studies import set_params
from stages import tune
from stages.lib.files import read_json
from stages.lib.hyperparameters import BATCH_SIZES
from stages.lib.pictures import encode
from stages.lib.problems import Problem
from stages.lib.shards import Row, ShardWriter
from tests.lib.test_training import coloured


@pytest.fixture
def pictures(project):
    """A small training and validation set that can be learnt."""
    for name, count, seed in (("original", 24, 0), ("validation", 12, 1)):
        given = coloured(count, seed)
        with ShardWriter(Path(f"data/{name}"), given.class_names) as writer:
            for picture, label, path in zip(given.pictures, given.labels, given.paths, strict=True):
                writer.add(Row(encode(picture.numpy(), 95), path, int(label)))
    search = {"trials": 3, "minutes": 0, "epochs": 2, "startup_trials": 1, "pruning_warmup_epochs": 1}
    set_params(project, tune__own_cnn=search | {"parallel_trials": 1}, networks__own_cnn__batch_size=16)
    return project


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("data/hyperparameters/own_cnn").iterdir()}


def test_it_writes_defaults_choice_and_trials(pictures):
    """The first trial has the defaults; the choice is the best trial's, and keeps all other settings."""
    tune.main("own_cnn")
    default, tuned = (read_json(f"data/hyperparameters/own_cnn/{name}.json") for name in ("default", "tuned"))
    with Path("data/hyperparameters/own_cnn/trials.csv").open(encoding="utf-8") as file:
        trials = list(csv.DictReader(file))
    searched = {"learning_rate", "weight_decay", "dropout", "label_smoothing", "batch_size", "warmup_epochs"}
    assert trials[0].keys() == {"trial", "state", "validation_accuracy", "epochs", *searched}
    assert {name: float(trials[0][name]) for name in searched} == {name: default[name] for name in searched}
    best = max(
        (trial for trial in trials if trial["state"] == "complete"), key=lambda t: float(t["validation_accuracy"])
    )
    assert {name: tuned[name] for name in searched} == {name: float(best[name]) for name in searched}
    assert {name: tuned[name] for name in default if name not in searched} == {
        name: default[name] for name in default if name not in searched
    }
    assert [trial["trial"] for trial in trials] == ["0", "1", "2"]


def test_defaults_outside_the_space_of_the_search_are_tried_all_the_same(pictures):
    """As the first trial, so that what is chosen is never worse than them on validation."""
    set_params(pictures, networks__own_cnn__batch_size=20, networks__own_cnn__learning_rate=0.05)
    tune.main("own_cnn")
    with Path("data/hyperparameters/own_cnn/trials.csv").open(encoding="utf-8") as file:
        trials = list(csv.DictReader(file))
    assert (float(trials[0]["batch_size"]), float(trials[0]["learning_rate"])) == (20, 0.05)
    assert {float(trial["batch_size"]) for trial in trials[1:]} <= set(BATCH_SIZES)
    best = max(trials, key=lambda trial: float(trial["validation_accuracy"]))
    assert float(best["validation_accuracy"]) >= float(trials[0]["validation_accuracy"])


def test_the_plots_show_something(pictures):
    """A picture of both panels, neither of them blank."""
    tune.main("own_cnn")
    drawn = np.asarray(Image.open("data/hyperparameters/own_cnn/search.png").convert("L"))
    assert drawn.shape == (400, 1000)
    assert (drawn[:, :500] < 128).any()
    assert (drawn[:, 500:] < 128).any()


def test_the_same_seed_gives_the_same_bytes(pictures):
    """The search is as repeatable as the training."""
    tune.main("own_cnn")
    before = outputs()
    tune.main("own_cnn")
    assert outputs() == before
    set_params(pictures, seed=5)
    tune.main("own_cnn")
    assert outputs()["trials.csv"] != before["trials.csv"]


def test_a_helper_runs_trials_and_writes_nothing(pictures):
    """The process that it helps then has no trial left to run; a helper that comes too late ends at once."""
    tune.main("own_cnn", "only-trials")
    assert not Path("data/hyperparameters").exists()
    journal = next(Path("data/checkpoints").glob("*.journal")).read_bytes()
    assert journal.count(b'"state":1') == 3
    tune.main("own_cnn")
    assert len(outputs()["trials.csv"].splitlines()) == 1 + 3
    with pytest.raises(Problem, match="help is no way to tune"):
        tune.main("own_cnn", "help")


def test_a_mistake_in_either_section_is_one_line(pictures):
    """Both the search's settings and the network's are checked before anything is trained."""
    set_params(pictures, tune__own_cnn__trials=0)
    with pytest.raises(Problem, match=r"tune.own_cnn.trials = 0 is not allowed"):
        tune.main("own_cnn")
    set_params(pictures, tune__own_cnn__trials=1, networks__own_cnn__dropout=2)
    with pytest.raises(Problem, match=r"networks.own_cnn.dropout = 2 is not allowed"):
        tune.main("own_cnn")
    assert not Path("data/hyperparameters").exists()
