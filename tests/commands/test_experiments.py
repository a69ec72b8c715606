"""Experiments of DVC stand below each other, narrow enough for a terminal."""

from pathlib import Path

import pytest

from helpers.projects import run, set_params
from stages.commands.experiments import main
from stages.runtime.errors import UserError
from stages.runtime.files import write_json
from tests.study import commit


def keep(folder: Path, name: str, accuracy: float | None, **values: object) -> None:
    """Commit a study with these settings, of a network that named so many rightly, as DVC keeps an experiment."""
    set_params(folder, **values)
    of_original = {"accuracy": 0.75, "balanced_accuracy": 0.25}
    reached = {"default": {"original": of_original, "augmented": {"accuracy": accuracy}}}
    write_json(folder / "metrics/metrics.json", {"own_cnn": reached, "resnet50": reached} if accuracy else {})
    commit(folder)
    run("git", "update-ref", f"refs/exps/12/{'34' * 19}/{name}", "HEAD", folder=folder)
    run("git", "reset", "-q", "--hard", "HEAD~1", folder=folder)


@pytest.fixture
def study(project) -> Path:
    """A study on main that has no experiment."""
    run("git", "init", "-q", "-b", "main", folder=project)
    set_params(project, augment__hue=10)
    write_json(project / "metrics/metrics.json", {"own_cnn": {"default": {"original": {"balanced_accuracy": 0.5}}}})
    commit(project)
    return project


def test_what_differs_and_what_came_of_it_stand_in_a_row(study, capsys):
    """Of the commit first; of each network the best run; where the best run hides it, the run that changed most."""
    keep(study, "bolder-loon", 0.625, augment__hue=30)
    keep(study, "grown-emu", None, augment__hue=0)
    main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert rows == [
        "| experiment  | settings                                     | own_cnn | resnet50 |",
        "| ----------- | -------------------------------------------- | ------: | -------: |",
        "| main        | augment.hue=10                               |  50.0 % |        – |",
        "| bolder-loon | augment.hue=30                               |  62.5 % |   62.5 % |",
        "|             | most changed: own_cnn-default-original -25.0 |         |          |",
        "| grown-emu   | augment.hue=0                                |       – |        – |",
    ]


def test_many_settings_go_on_in_the_next_line(study, capsys):
    """No line is wider than 100 characters."""
    keep(study, "bolder-loon", 0.625, augment__hue=30, augment__shift=0.2, training__weight_decay=0.25, seed=5)
    keep(study, "fuller-owl", 0.625, augment__rotation=30, augment__jpeg_quality=70, prepare__jpeg_quality=80)
    main()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "training.weight_decay=0.25" in " ".join(lines)


def test_without_experiments_it_is_said_how_one_is_made(study):
    """A table of one row would say nothing."""
    with pytest.raises(UserError, match=r"there is no experiment; `dvc exp run -S augment\.hue=30`"):
        main()
