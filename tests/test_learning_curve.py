"""Stage learning_curve: a network trained on parts of the images, going on where it was interrupted."""

from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import configure, learning_curve, weights
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from tests import small_study
from tests.conftest import write_images

pytestmark = pytest.mark.slow
CURVE = Path("data/hyperparameters/own_cnn/learning_curve.json")


def prepared(images: int) -> None:
    """Prepare so many images of each of two classes, for a network that is trained for two epochs."""
    write_images(Path("data/pictures"), dict.fromkeys(["crow", "jay"], images))
    networks = {"own_cnn": {"input_size": 64, "epochs": 2, "batch_size": 4}}
    small_study.prepare_images(Path("data/pictures"), networks, report__learning_curve=["own_cnn"])
    weights.main("own_cnn")


@pytest.fixture
def trainings(monkeypatch):
    """The names of all trainings that have ended; they may be told to fail."""
    ended, fit = [], learning_curve.fit

    def watched(task, description, **rest):
        if len(ended) == 4:
            ended.append("killed")
            raise KeyboardInterrupt
        result = fit(task, description, **rest)
        ended.append(description)
        return result

    monkeypatch.setattr(learning_curve, "fit", watched)
    return ended


def test_interrupted_it_goes_on_and_ends_in_the_same_bytes(project, trainings):
    """No training that has ended is done again, unless its seed is another; nothing is kept after the last."""
    prepared(20)
    with pytest.raises(KeyboardInterrupt):
        learning_curve.main("own_cnn")
    assert len(list(Path("data/checkpoints/learning-curve-own_cnn").glob("*.json"))) == 4
    learning_curve.main("own_cnn")
    assert len(trainings) == 1 + 9
    gone_on = CURVE.read_bytes()
    assert not list(Path("data/checkpoints").iterdir())
    learning_curve.main("own_cnn")
    assert CURVE.read_bytes() == gone_on
    assert len(trainings) == 1 + 9 + 9
    curve = read_json(CURVE)
    whole = curve["points"][-1]["images"]
    assert [len(each["accuracy"]) for each in curve["points"]] == [3, 3, 2, 1]
    assert [each["images"] / whole for each in curve["points"]] == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1], abs=0.05)
    assert curve["prediction"]["images"] == 2 * whole


def test_too_few_images_train_nothing(project, trainings):
    """A quarter of three images is none."""
    prepared(5)
    learning_curve.main("own_cnn")
    assert (read_json(CURVE), trainings) == ({}, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"report__learning_curve": ["resnet50"]},
            r"learning_curve = \['resnet50'\] are no networks of study.networks",
        ),
        ({"networks__own_cnn__weights": "x", "networks__own_cnn__freeze": "backbone"}, "names own_cnn, whose backbone"),
    ],
)
def test_networks_that_cannot_have_one_are_refused(project, change, said):
    """Before anything is trained: strangers to the study, and those whose head alone learns."""
    set_params(project, study__networks=["own_cnn"], report__learning_curve=["own_cnn"])
    set_params(project, **change)
    with pytest.raises(UserError, match=said):
        configure.main()
