"""Two finished studies, one of them of a Git revision, stand side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.projects import run, set_params
from stages.commands import compare
from stages.commands.compare import main
from stages.evaluation.metrics import numbers
from stages.runtime.errors import UserError
from stages.runtime.files import read_json, write_json
from stages.runtime.seeding import stream
from stages.runtime.study import Study
from tests.study import commit


def finish(
    folder: Path, classes: int, right: dict[str, int], seeds: tuple[int, ...] = (1, 2, 3), published=True, **axes
) -> None:
    """Write a study's settings and records: each network names so many of 1,000 test images rightly."""
    axes = {"networks": list(right), "hyperparameters": ["default"], "data": ["augmented"]} | axes
    set_params(folder, study={**axes, "seeds": list(seeds)}, report__published_study=published)
    for key in Study(**axes, seeds=list(seeds)).configurations():
        for seed in seeds:
            wrong = np.arange(1000) >= right[key.network]
            record = {
                "labels": numbers([0] * 1000),
                "predicted": numbers(1 * stream(seed, *key, classes).permutation(wrong)),
                "groups": "",
                "ranked_by": "accuracy",
                "settings": {},
                "weights_sha256": f"{key}-{seed}-{right}",
                "test_images_sha256": str(classes),
                "class_accuracy": {f"bird {number}": 0.5 for number in range(classes)},
            }
            write_json(folder / f"metrics/runs/{key}-{seed}.json", record)


@pytest.fixture
def studies(project):
    """Finish a study of 200 classes on branch birds-200, then one of 20 on main: give a function that does."""
    run("git", "init", "-q", "-b", "main", folder=project)

    def finished(many: dict, few: dict, **axes) -> None:
        finish(project, 200, **many)
        commit(project)
        run("git", "branch", "-f", "birds-200", folder=project)
        finish(project, 20, **few, **axes)

    return finished


@pytest.mark.parametrize(
    ("many", "verdict"),
    [(550, "confirmed"), (300, "refuted"), (402, "undecided")],
)
def test_whether_the_gap_widens_is_decided_with_an_interval(studies, capsys, many, verdict):
    """ResNet50 is ten points ahead on 20 classes; on 200, 25 more than that, none at all, or hardly more."""
    studies({"right": {"own_cnn": 300, "resnet50": many}}, {"right": {"own_cnn": 500, "resnet50": 600}})
    main("birds-200")
    said = capsys.readouterr().out
    assert f"On more classes the gap to ResNet50 widens: {verdict}" in said
    difference = (many - 300 - 100) / 10
    assert "20 classes +10.0 (" in said
    assert f"200 classes {(many - 300) / 10:+.1f} (" in said
    assert f"difference {difference:+.1f} (" in said


def test_both_studies_stand_side_by_side(studies, capsys):
    """Each configuration of either, and a dash for what one of them lacks; other test images allow no verdict."""
    studies(
        {"right": {"own_cnn": 300}, "seeds": (1,)},
        {"right": {"own_cnn": 500, "resnet50": 600}, "data": ["original", "augmented"]},
    )
    main("birds-200")
    said = capsys.readouterr().out
    assert "here: 20 classes, 1,000 test images, 3 seeds" in said
    assert "birds-200: 200 classes, 1,000 test images, 1 seed" in said
    lines = {line.split()[1]: line for line in said.splitlines() if line.startswith("| ")}
    assert lines["own_cnn-default-augmented"].split("|")[3].strip() == "30.0 % (27.2–32.9)"
    assert "+20.0 (" in lines["own_cnn-default-augmented"]
    assert "better" not in said.partition("run both studies on the same images.")[2]
    assert [cell.strip() for cell in lines["resnet50-default-original"].split("|")[3:5]] == ["–"] * 2
    assert said.index("The test images differ, so none of the two studies is better") < said.index("| setting")
    assert "Differences in points, here minus birds-200, of independent studies." in said
    assert [cell.strip() for cell in lines["study.seeds"].split("|")[2:4]] == ["[1, 2, 3]", "[1]"]
    assert "widens: not tested\nit takes own_cnn and resnet50 in both studies" in said


def test_few_trainings_confirm_nothing(studies, capsys):
    """What one training of each showed is said of it alone."""
    for_one = {"seeds": (1,)}
    studies(
        {"right": {"own_cnn": 300, "resnet50": 550}} | for_one, {"right": {"own_cnn": 500, "resnet50": 600}} | for_one
    )
    main("birds-200")
    assert "widens: seen with one seed each" in capsys.readouterr().out


def test_the_same_test_images_are_compared_in_pairs(project, capsys):
    """With interval and verdict; the published finding is not spoken of where nobody asked for it."""
    run("git", "init", "-q", "-b", "main", folder=project)
    finish(project, 20, {"own_cnn": 500, "resnet50": 600}, published=False)
    commit(project)
    set_params(project, training__epochs=7)
    main("main")
    said = capsys.readouterr().out
    assert "The test images are the same: differences are paired." in said
    assert said.count("|          0 | the same on each image |") == 2
    assert "| training.epochs |" in said
    assert "widens" not in said
    finish(project, 20, {"own_cnn": 800, "resnet50": 600}, published=False)
    main("main")
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")}
    assert "+30.0 (" in lines["own_cnn-default-augmented"]
    assert lines["own_cnn-default-augmented"].split("|")[5].strip() == "better"


def test_after_labels_were_mended_both_studies_are_judged_by_the_mended_ones(project, capsys):
    """A network that names each image as before has gained nothing by it; one that learned from them has."""
    run("git", "init", "-q", "-b", "main", folder=project)
    finish(project, 20, {"own_cnn": 500, "resnet50": 600}, published=False)
    commit(project)
    for file in Path("metrics/runs").iterdir():
        record = read_json(file)
        labels = record["labels"].split()
        labels[:100] = ["1"] * 100
        predicted = labels if "resnet50" in file.name else record["predicted"].split()
        write_json(file, record | {"labels": " ".join(labels), "predicted": " ".join(predicted)})
    main("main")
    said = capsys.readouterr().out
    assert "Test labels that differ: 100. Both studies are judged by those here." in said
    assert "The test images are the same: differences are paired." in said
    lines = {line.split()[1]: line for line in said.splitlines() if line.startswith("| ")}
    assert "the same" in lines["own_cnn-default-augmented"]
    assert lines["resnet50-default-augmented"].split("|")[5].strip() == "better"


def test_runs_that_name_each_image_alike_are_the_same(project, capsys):
    """Though their weights, and so their records, are others."""
    run("git", "init", "-q", "-b", "main", folder=project)
    finish(project, 20, {"own_cnn": 500}, published=False)
    commit(project)
    for file in Path("metrics/runs").iterdir():
        write_json(file, read_json(file) | {"weights_sha256": "of other weights", "loss": 2.0})
    main("main")
    assert "|          0 | the same on each image |" in capsys.readouterr().out


def test_other_numbers_of_seeds_are_compared_without_pairs(project, capsys):
    """On the same test images there is a verdict, of what was trained least often."""
    run("git", "init", "-q", "-b", "main", folder=project)
    finish(project, 20, {"own_cnn": 500}, seeds=(1,), published=False)
    commit(project)
    finish(project, 20, {"own_cnn": 800}, published=False)
    main("main")
    said = capsys.readouterr().out
    assert "The numbers of seeds differ: the studies are held for independent of each other." in said
    assert "| better with one seed each |" in said


def test_unequal_classes_count_alike_as_in_the_report(project, capsys):
    """By the measure of its best run: of 900 crows and 100 jays, the jays count as much."""
    run("git", "init", "-q", "-b", "main", folder=project)
    finish(project, 2, {"own_cnn": 900}, seeds=(1,), published=False)
    (file,) = Path("metrics/runs").iterdir()
    labels = numbers([0] * 900 + [1] * 100)
    crows, birds = numbers([0] * 1000), numbers([0] * 900 + [1] * 50 + [0] * 50)
    record = read_json(file) | {"labels": labels, "ranked_by": "balanced_accuracy"}
    write_json(file, record | {"predicted": crows})
    commit(project)
    write_json(file, record | {"predicted": birds})
    main("main")
    said = capsys.readouterr().out
    assert "| balanced accuracy " in said
    assert "75.0 % (" in said
    assert "50.0 % (" in said
    assert "+25.0 (" in said


def test_an_experiment_of_dvc_is_found_by_its_name(project, capsys):
    """DVC keeps it under a reference of its own, which is no branch."""
    run("git", "init", "-q", "-b", "main", folder=project)
    finish(project, 20, {"own_cnn": 500, "resnet50": 600})
    commit(project)
    run("git", "update-ref", "refs/exps/12/34567890/bolder-loon", "main", folder=project)
    main("bolder-loon")
    said = capsys.readouterr().out
    assert "bolder-loon: 20 classes" in said
    assert "widens: not tested\nboth studies have 20 classes" in said


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("", "WITH= is missing"),
        ("birds-9000", "Git has no params.yaml of birds-9000"),
        ("--output=mine", "Git has no params.yaml of --output"),
        ("empty", "Git has no metrics/runs/own_cnn-"),
    ],
)
def test_what_cannot_be_compared_is_said(project, revision, said):
    """No revision, one that does not exist, and one whose study has not run."""
    run("git", "init", "-q", "-b", "main", folder=project)
    commit(project)
    run("git", "branch", "empty", folder=project)
    finish(project, 20, {"own_cnn": 500, "resnet50": 600})
    with pytest.raises(UserError, match=said):
        main(revision)


def test_a_study_that_has_not_run_here_says_so(project):
    """And how it is run."""
    with pytest.raises(UserError, match="is missing; `dvc repro` makes it"):
        main("main")


def test_settings_that_nothing_ran_with_are_named(studies, monkeypatch, capsys):
    """Else they would stand beside results that are not theirs. What DVC lacks here says nothing of settings."""
    changed = {"prepare": [{"changed deps": {"params.yaml": {"prepare": "modified"}, "data/raw": "deleted"}}]}
    status = changed | {"fetch": [{"changed outs": {"data/raw": "deleted"}}], "report": ["always changed"]}
    studies({"right": {"own_cnn": 300}}, {"right": {"own_cnn": 500}})
    monkeypatch.setattr(compare, "dvc_output", lambda *_: json.dumps(status))
    main("birds-200")
    assert capsys.readouterr().err == ""
    Path("dvc.lock").touch()
    main("birds-200")
    assert "warning: nothing has run here since prepare changed in params.yaml: the results" in capsys.readouterr().err


def test_records_of_an_earlier_version_are_said_in_words(studies):
    """They lack which images were named correctly, or call it otherwise."""
    studies({"right": {"own_cnn": 300}}, {"right": {"own_cnn": 500}})
    for file in Path("metrics/runs").iterdir():
        write_json(file, {"right": "01", "class_accuracy": {"jay": 0.5}})
    with pytest.raises(UserError, match=r"here: metrics/runs/own_cnn-.*: ranked_by: Field required; `dvc repro`"):
        main("birds-200")
