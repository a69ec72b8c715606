"""A trained run becomes weights that the next study starts from, and that is worth something."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from experiments import transfer_learning as transfer
from helpers.projects import copy_project
from helpers.projects import run as command
from stages.commands.keep_weights import main
from stages.networks.common.image_set import ImageSet
from stages.networks.common.pretrained import new_network
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig
from stages.networks.common.weights import Trained, save_weights
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.errors import UserError
from tests.conftest import network_settings

RUN = "own_cnn-default-original-1"


@pytest.fixture
def run(project) -> Path:
    """A trained run."""
    settings = network_settings("own_cnn")
    given = Trained(own_cnn.build(settings, 3, 64), ["crow", "jay", "rook"], 64)
    path = project / f"data/trained/{RUN}/weights.safetensors"
    save_weights(path, given, "own_cnn", settings.model_dump())
    return path


def test_a_run_becomes_a_file_that_another_study_starts_from(run, capsys):
    """It says what to set; a network of other classes then has its weights, but for the last layer."""
    main(RUN, "corvids")
    path = Path("data/pretrained/own_cnn/corvids.safetensors")
    assert path.read_bytes() == run.read_bytes()
    said = capsys.readouterr().out
    assert "own_cnn, trained on 3 classes at 64 pixels" in said
    assert f"set networks.own_cnn.weights: {path} in params.yaml" in said
    model = new_network(own_cnn, network_settings("own_cnn", weights=str(path)), 5, 64)
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
    with pytest.raises(UserError, match=message):
        main(*words)


def test_weights_can_be_given_to_dvc(tmp_path):
    """As docs/guides/networks.md says of `dvc add`: Git must not ignore the note that DVC writes beside them."""
    copy_project(tmp_path)
    weights = "data/pretrained/own_cnn/mammals.safetensors"
    (tmp_path / weights).write_bytes(b"weights")
    command("dvc", "add", "--quiet", weights, folder=tmp_path)
    assert command("git", "status", "--short", "--", f"{weights}.dvc", folder=tmp_path) == f"?? {weights}.dvc\n"


def test_a_broken_file_is_said_in_words(run):
    """And nothing is kept of it."""
    run.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"cannot be read .*dvc checkout"):
        main(RUN, "corvids")
    assert not Path("data/pretrained").exists()


def striped(count: int, seed: int, first: int) -> ImageSet:
    """Faint stripes under noise, in three directions 60 degrees apart, from `first` times 30 degrees on."""
    rng, labels = np.random.default_rng([seed, first]), np.arange(count) % 3
    y, x = np.mgrid[:64, :64]
    angles, starts = np.pi * (first + 2 * labels[:, None, None]) / 6, rng.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.sin(0.7 * (x * np.cos(angles) + y * np.sin(angles)) + starts)
    images = 128 + 25 * waves[..., None] + rng.normal(0, 40, (count, 64, 64, 3))
    tensors = torch.from_numpy(images.clip(0, 255).astype(np.uint8)), torch.from_numpy(labels)
    return ImageSet(*tensors, ["steep", "middle", "flat"], [str(number) for number in range(count)])


def lesson(epochs: int, images: int, first: int) -> transfer.TrainingPlan:
    plain = OnlineAugmentation(enabled=False, flip=False, shift=0, crop=1, mixup=0, cutmix=0, trivial_augment=False)
    changes = {"epochs": epochs, "batch_size": 8, "dropout": 0, "backbone_learning_rate_factor": 0.3}
    sets = (striped(count, seed, first) for seed, count in enumerate((images, 24, 60)))
    return transfer.TrainingPlan(TrainingConfig(network_settings("own_cnn", **changes), plain), transfer.Half(*sets))


def test_weights_of_other_classes_beat_random_ones_with_the_same_budget(project):
    """Who has learnt three directions of stripes learns three others from 24 images in two epochs."""
    before, after = lesson(6, 60, first=0), lesson(2, 24, first=1)
    found = [transfer.compared("own_cnn", before, after, seed) for seed in (1, 2)]
    scratch, started = np.mean(found, axis=0)
    assert started > scratch + 0.3
