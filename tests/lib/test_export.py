"""A trained run becomes weights that the next study starts from, and that is worth something."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import transfer
from benchmarks.studies import set_params
from stages import fetch, prepare
from stages.lib.export import main
from stages.lib.hyperparameters import OnTheFly, Recipe
from stages.lib.pretrained import new_network
from stages.lib.problems import Problem
from stages.lib.weights import Trained, save_weights
from stages.networks import own_cnn
from tests.conftest import network_settings

RUN = "own_cnn-default-original-1"


@pytest.fixture
def run(project) -> Path:
    """A trained run."""
    settings = network_settings("own_cnn")
    given = Trained(own_cnn.build(settings, 3, 64), "own_cnn", ["crow", "jay", "rook"], 64)
    path = project / f"data/trained/{RUN}/weights.safetensors"
    save_weights(path, given, settings.model_dump())
    return path


def test_a_run_becomes_a_file_that_another_study_starts_from(run, capsys):
    """It says what to set; a network of other classes then has its weights, but for the last layer."""
    main(RUN, "corvids")
    path = Path("data/pretrained/own_cnn/corvids.safetensors")
    assert path.read_bytes() == run.read_bytes()
    said = capsys.readouterr().out
    assert "own_cnn, trained on 3 classes at 64 pixels" in said
    assert f"set networks.own_cnn.weights: {path} in params.yaml" in said
    model = new_network("own_cnn", network_settings("own_cnn", weights=str(path)), 5, 64)
    given = load_file(run)
    assert all(torch.equal(model.state_dict()[name], given[name]) for name in given if not name.startswith("classes."))
    assert model.classes.out_features == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("own_cnn-tuned-original-1", "corvids"), f"is not trained; there are: {RUN}"),
        (("", ""), f"RUN= is not trained; there are: {RUN}"),
        ((RUN, ""), "NAME= cannot be a file's name"),
        ((RUN, "../corvids"), "NAME=../corvids cannot be a file's name"),
    ],
)
def test_a_mistake_is_said_in_words(run, words, message):
    """What there is, and what to say instead."""
    with pytest.raises(Problem, match=message):
        main(*words)


def test_a_broken_file_is_said_in_words(run):
    """And nothing is kept of it."""
    run.write_bytes(b"broken")
    with pytest.raises(Problem, match=r"cannot be read .*dvc checkout"):
        main(RUN, "corvids")
    assert not Path("data/pretrained").exists()


def test_weights_of_other_classes_beat_random_ones_with_the_same_budget(project):
    """Drawn birds: four species to learn to see, four others to tell apart within three epochs."""
    set_params(project, dataset__classes=8, dataset__synthetic__pictures_per_class=40)
    fetch.main()
    prepare.main()
    settings = network_settings("own_cnn", epochs=3, batch_size=8)
    plain = OnTheFly(enabled=False, flip=False, shift=0, crop=1, mixup=0, cutmix=0)
    scratch, started = transfer.compared("own_cnn", Recipe(settings, plain), 1)
    assert started > scratch
