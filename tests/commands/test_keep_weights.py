"""A trained run becomes weights that the next study starts from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from helpers.projects import copy_project, set_params
from helpers.projects import run as command
from stages import configure, weights
from stages.commands.keep_weights import main
from stages.networks.common.starting_point import new_network, read_starting_point
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.errors import UserError
from stages.runtime.runs import Run, refer_to
from tests.conftest import network_settings

RUN = "own_cnn-default-original-1"


def test_a_run_becomes_a_file_that_another_study_starts_from(study_copy, capsys):
    """It says what to set; a network of other classes then has its weights, but for the last layer, and its size."""
    main(RUN, "corvids")
    path, trained = Path("data/pretrained/own_cnn/corvids.safetensors"), f"data/trained/{RUN}/weights.safetensors"
    assert path.read_bytes() == Path(trained).read_bytes()
    said = capsys.readouterr().out
    assert "own_cnn, trained on 3 classes at 64 pixels" in said
    assert f"set networks.own_cnn.weights: {path} in params.yaml" in said
    set_params(study_copy, networks__own_cnn={"weights": str(path), "input_size": "weights"})
    configure.main()
    weights.main("own_cnn")
    assert read_starting_point("own_cnn").image_size == 64
    model = new_network(own_cnn, network_settings("own_cnn", weights=str(path)), 5, 64)
    given = load_file(trained)
    assert all(torch.equal(model.state_dict()[name], given[name]) for name in given if not name.startswith("classes."))
    assert model.classes.out_features == 5


def test_a_run_that_is_the_same_as_another_has_its_weights(study_copy):
    """As a tuned one where the search has kept the defaults."""
    refer_to(Run("own_cnn", "default", "original", 1), "data/trained/own_cnn-tuned-original-1")
    main("own_cnn-tuned-original-1", "corvids")
    assert Path("data/pretrained/own_cnn/corvids.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("own_cnn-tuned-original-1", "corvids"), f"is not trained; there are: .*{RUN}"),
        (("", ""), f"RUN= is not trained; there are: .*{RUN}"),
        ((RUN, ""), "NAME= cannot be a file's name"),
        ((RUN, "../corvids"), "NAME=../corvids cannot be a file's name"),
    ],
)
def test_a_mistake_is_said_in_words(at_study, words, message):
    """What there is, and what to say instead."""
    with pytest.raises(UserError, match=message):
        main(*words)


def test_weights_can_be_given_to_dvc(tmp_path):
    """As docs/transfer.md says: Git must not ignore the note that DVC writes beside them."""
    copy_project(tmp_path)
    weights = "data/pretrained/own_cnn/mammals.safetensors"
    (tmp_path / weights).parent.mkdir()
    (tmp_path / weights).write_bytes(b"weights")
    command("dvc", "add", "--quiet", weights, folder=tmp_path)
    assert command("git", "status", "--short", "--", f"{weights}.dvc", folder=tmp_path) == f"?? {weights}.dvc\n"


def test_a_broken_file_is_said_in_words(study_copy):
    """And nothing is kept of it."""
    Path(f"data/trained/{RUN}/weights.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="is no network of this project's"):
        main(RUN, "corvids")
    assert not Path("data/pretrained/own_cnn").exists()
