"""Stage tune: the defaults first, then what the search makes of the trials before."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.projects import set_params
from stages import train, tune
from stages.images.reading import encode
from stages.images.shards import Row, ShardWriter
from stages.networks.common.settings import BATCH_SIZES
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from tests.study import SEARCH
from tests.training.test_loop import coloured


@pytest.fixture
def images(project):
    """A small training and validation set that can be learnt."""
    for name, count, seed in (("original", 24, 0), ("validation", 12, 1)):
        given = coloured(count, seed)
        with ShardWriter(Path(f"data/{name}"), given.class_names) as writer:
            for image, label, path in zip(given.pixels, given.labels, given.paths, strict=True):
                writer.add(Row(encode(image.numpy(), 95), path, int(label)))
    search = SEARCH | {"trials": 3, "min_resource_epochs": 2}
    set_params(project, search=search, training__epochs=2, training__batch_size=16)
    return project


def outputs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("data/hyperparameters/own_cnn").iterdir()}


def test_it_writes_defaults_choice_and_trials(images, capsys):
    """The first trial has the defaults; the choice is the best trial's, and keeps all other settings."""
    set_params(images, search__trials=5)
    tune.main("own_cnn")
    default, tuned = (read_json(f"data/hyperparameters/own_cnn/{name}.json") for name in ("default", "tuned"))
    with Path("data/hyperparameters/own_cnn/trials.csv").open(encoding="utf-8") as file:
        trials = list(csv.DictReader(file))
    searched = {"learning_rate", "weight_decay", "dropout", "label_smoothing", "batch_size", "warmup_epochs"}
    assert trials[0].keys() == {"trial", "state", "validation_temperature_scaled_loss", "epochs", *searched}
    assert {name: float(trials[0][name]) for name in searched} == {name: default[name] for name in searched}
    best = min(
        (trial for trial in trials if trial["state"] == "complete"),
        key=lambda t: float(t["validation_temperature_scaled_loss"]),
    )
    assert {name: tuned[name] for name in searched} == {name: float(best[name]) for name in searched}
    assert {name: tuned[name] for name in default if name not in searched} == {
        name: default[name] for name in default if name not in searched
    }
    assert [trial["trial"] for trial in trials] == ["0", "1", "2", "3", "4"]
    (compared,) = re.findall(r"scaled validation loss, (.*) against (.*) of the defaults", capsys.readouterr().err)
    judged = [float(trial["validation_temperature_scaled_loss"]) for trial in (best, trials[0])]
    assert [float(loss) for loss in compared] == pytest.approx(judged, abs=0.02)  # trials validate in bfloat16


def test_defaults_outside_the_space_of_the_search_are_tried_all_the_same(images):
    """As the first trial, so that what is chosen is never worse than them on validation."""
    set_params(images, networks__own_cnn__batch_size=20, training__learning_rate=0.05, search__trials=6)
    tune.main("own_cnn")
    with Path("data/hyperparameters/own_cnn/trials.csv").open(encoding="utf-8") as file:
        trials = list(csv.DictReader(file))
    assert (float(trials[0]["batch_size"]), float(trials[0]["learning_rate"])) == (20, 0.05)
    assert float(trials[-1]["batch_size"]) in BATCH_SIZES
    best = min(trials, key=lambda trial: float(trial["validation_temperature_scaled_loss"]))
    assert float(best["validation_temperature_scaled_loss"]) <= float(trials[0]["validation_temperature_scaled_loss"])


def test_what_may_be_chance_is_not_taken(images):
    """A search never harms by more than chance: where its best trial is not surely better, tuned is default."""
    set_params(images, search__significance=1e-100)
    tune.main("own_cnn")
    default, tuned = (read_json(f"data/hyperparameters/own_cnn/{name}.json") for name in ("default", "tuned"))
    assert tuned == default
    assert len(outputs()["trials.csv"].splitlines()) == 1 + 3


def test_where_no_run_is_tuned_nothing_is_searched(images):
    """A study of the default settings alone has no use for a search."""
    set_params(images, study__hyperparameters=["default"])
    tune.main("own_cnn")
    default, tuned = (read_json(f"data/hyperparameters/own_cnn/{name}.json") for name in ("default", "tuned"))
    assert tuned == default
    assert outputs()["trials.csv"] == b"trial,state,validation_temperature_scaled_loss,epochs\n"
    assert not Path("data/checkpoints").exists()


def test_what_the_search_has_trained_is_not_trained_again(images):
    """The runs of original images with default and with tuned hyperparameters are trials of the search."""
    tune.main("own_cnn")
    kept = {path.name for path in Path("data/checkpoints/trained").iterdir()}
    for hyperparameters in ("default", "tuned"):
        train.main("own_cnn", hyperparameters, "original", "1")
    assert {path.name for path in Path("data/checkpoints/trained").iterdir()} == kept


def test_the_plots_show_something(images):
    """An image of both panels, neither of them blank."""
    tune.main("own_cnn")
    drawn = np.asarray(Image.open("data/hyperparameters/own_cnn/search.png").convert("L"))
    assert drawn.shape == (400, 1000)
    assert (drawn[:, :500] < 128).any()
    assert (drawn[:, 500:] < 128).any()


def test_the_same_seed_gives_the_same_bytes(images):
    """The search is as repeatable as the training."""
    tune.main("own_cnn")
    before = outputs()
    shutil.rmtree("data/checkpoints")
    tune.main("own_cnn")
    assert outputs() == before
    set_params(images, seed=5)
    tune.main("own_cnn")
    assert outputs()["trials.csv"] != before["trials.csv"]


def test_a_helper_runs_trials_and_writes_nothing(images):
    """The process that it helps then has no trial left to run; a helper that comes too late ends at once."""
    tune.main("own_cnn", "only-trials")
    assert not Path("data/hyperparameters").exists()
    journal = next(Path("data/checkpoints").glob("*.journal")).read_bytes()
    assert journal.count(b'"state":1') + journal.count(b'"state":2') == 3  # complete, and stopped early
    tune.main("own_cnn")
    assert len(outputs()["trials.csv"].splitlines()) == 1 + 3
    with pytest.raises(UserError, match="help is no way to tune"):
        tune.main("own_cnn", "help")


def test_a_mistake_in_either_section_is_one_line(images):
    """Both the search's settings and the network's are checked before anything is trained."""
    set_params(images, search__trials=0)
    with pytest.raises(UserError, match=r"search.trials = 0 is not allowed"):
        tune.main("own_cnn")
    set_params(images, search__trials=1, networks__own_cnn__dropout=2)
    with pytest.raises(UserError, match=r"networks.own_cnn.dropout = 2 is not allowed"):
        tune.main("own_cnn")
    assert not Path("data/hyperparameters").exists()
