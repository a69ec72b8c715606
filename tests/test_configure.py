"""Stage configure: each network's settings become files of their own, so that a change reaches what it concerns."""

from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import configure
from stages.runtime.errors import UserError
from stages.runtime.files import read_json

SETTINGS = Path("data/settings")


def written() -> dict[str, bytes]:
    configure.main()
    return {str(path.relative_to(SETTINGS)): path.read_bytes() for path in SETTINGS.rglob("*.json")}


def test_a_network_has_its_own_settings_else_those_of_all(project):
    """Of training and of the search; which weights it starts from stands apart from both."""
    set_params(project, networks__efficientnet_lite0={}, study__networks=["own_cnn", "resnet50", "efficientnet_lite0"])
    configure.main()
    training, search = (
        {name: read_json(SETTINGS / name / f"{kind}.json") for name in ("own_cnn", "resnet50", "efficientnet_lite0")}
        for kind in ("training", "search")
    )
    assert [training[name]["epochs"] for name in training] == [10, 5, 10]
    assert [training[name].get("dropout") for name in training] == [0.34, None, None]
    assert [search[name]["trials"] for name in search] == [6, 3, 6]
    assert {(each["seed"], *each["hyperparameters"]) for each in search.values()} == {(1, "default", "tuned")}
    assert read_json(SETTINGS / "own_cnn/start.json") == {"weights": "none", "input_size": 64, "freeze": "none"}
    assert read_json(SETTINGS / "efficientnet_lite0/start.json") == {
        "weights": "imagenet", "input_size": "weights", "freeze": "backbone",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "files"),
    [
        ({"networks__own_cnn__weight_decay": 0.1}, {"own_cnn/training.json"}),
        ({"networks__resnet50__input_size": 96}, {"resnet50/training.json", "resnet50/start.json"}),
        ({"networks__own_cnn__search": {"trials": 9}}, {"own_cnn/search.json"}),
        ({"training__learning_rate": 0.5}, {"own_cnn/training.json", "resnet50/training.json"}),
        ({"seed": 2}, {"own_cnn/search.json", "resnet50/search.json"}),
        ({"study__seeds": [1, 2]}, set()),
    ],
)
def test_a_change_reaches_the_files_that_it_concerns_and_no_other(project, change, files):
    """So that DVC runs again just what depends on it: no head's setting computes a feature again."""
    before = written()
    set_params(project, **change)
    after = written()
    assert {name for name in after if before.get(name) != after[name]} == files


def test_a_network_that_left_the_study_leaves_no_settings(project):
    """And those of a network that is not there are said in words."""
    assert {name.split("/")[0] for name in written()} == {"own_cnn", "resnet50"}
    set_params(project, study__networks=["own_cnn"])
    assert {name.split("/")[0] for name in written()} == {"own_cnn"}
    set_params(project, networks__own_cnn__freeze="half")
    with pytest.raises(UserError, match=r"networks.own_cnn.freeze = 'half' is not allowed"):
        configure.main()
