"""`python -m stages`: every mistake in params.yaml is named before anything runs."""

import pytest

from benchmarks.studies import set_params
from stages.__main__ import main
from stages.lib.problems import Problem


@pytest.fixture(autouse=True)
def _default_folder(project):
    (project / "data/pictures").mkdir(parents=True)


def lines() -> tuple[str, ...]:
    with pytest.raises(Problem) as raised:
        main()
    return raised.value.lines


def test_the_default_settings_are_right():
    """What is committed passes."""
    main()


def test_mistakes_in_all_sections_are_named_together(project):
    """A person mends all of them after one attempt, those of sections that no run uses included."""
    set_params(
        project,
        augmnet={},
        seed=-1,
        study__data=["original", "original"],
        prepare__image_size=5,
        augment__copies="two",
        tune__resnet50__trials=0,
        networks__own_cnn__epochs=0,
        dataset__folder__pth="x",
    )
    keys = ["augmnet", "seed", "study.data", "prepare.image_size", "augment.copies", "tune.resnet50.trials",
            "networks.own_cnn.epochs", "dataset.folder.pth"]  # fmt: skip
    found = lines()
    assert len(found) == len(keys)
    for key in keys:
        assert any(f": {key} " in line for line in found), key


def test_a_network_without_a_module_is_named(project):
    """With those there are."""
    set_params(project, study__networks=["own_cnn", "resnet51"])
    assert lines() == ("params.yaml: study.networks names 'resnet51', but stages/networks has only own_cnn, resnet50",)


def test_freezing_what_no_weights_brought_is_a_contradiction(project):
    """A backbone of random weights that never learns is nobody's wish."""
    set_params(project, networks__resnet50__freeze="backbone")
    key = "networks.resnet50"
    assert lines() == (f"params.yaml: {key}.freeze = backbone, but there is nothing to keep: {key}.weights = none",)


def test_pictures_too_small_for_a_network_of_the_study_are_named(project):
    """Before they are prepared; who leaves that network out may have them as small."""
    set_params(project, prepare__image_size=48)
    assert lines() == ("params.yaml: prepare.image_size = 48, but own_cnn needs 64 or more",)
    set_params(project, study__networks=["resnet50"])
    main()


def test_a_missing_folder_is_named_before_dvc_stumbles(project):
    """DVC would only say that a dependency is missing."""
    set_params(project, dataset__folder__path="elsewhere")
    assert lines() == (
        "params.yaml: dataset.folder.path = elsewhere does not exist; DVC watches it whatever the source is",
    )
