"""DVC's plots: what dvc.yaml names is there, and `make plots` draws it without a network."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers.projects import ENVIRONMENT, ROOT, set_params
from stages import report
from stages.commands import plots
from stages.runtime.errors import UserError
from stages.runtime.runs import Run
from tests.records import of_classes, write_data, write_run, write_trials
from tests.test_report import RUNS

PLOTS = [
    plot for each in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"] for plot in each.items()
]


@pytest.fixture
def study(project, monkeypatch) -> Path:
    """A made-up study with its report, in a repository of Git and DVC."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "window.vegaEmbed = 0;")
    for name in ("dvc.yaml", ".dvc/config", ".dvc/plots"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (project / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, project / name)
    for number, run in enumerate(RUNS):
        write_run(run, 20 + 2 * number, seconds=60.0 + number)
    write_trials("own_cnn")
    write_data()
    report.main()
    subprocess.run(["git", "init", "-q"], check=True)
    return project


@pytest.mark.parametrize(("title", "plot"), PLOTS, ids=[title for title, _ in PLOTS])
def test_what_a_plot_names_is_in_its_file(study, title, plot):
    """Columns for both axes, in files with rows."""
    for file, column in plot["y"].items():
        with Path(file).open(encoding="utf-8", newline="") as rows:
            found = list(csv.DictReader(rows))
        assert {column, plot["x"]} <= found[0].keys(), title


def test_the_page_of_plots_needs_no_network(study, monkeypatch):
    """All of them are on it; its scripts lie within."""
    monkeypatch.setattr("os.environ", ENVIRONMENT)
    plots.main()
    page = Path("data/plots/index.html").read_text(encoding="utf-8")
    assert all(title in page for title, _ in PLOTS)
    assert "window.vegaEmbed = 0;" in page
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)", page) == []


def test_a_study_of_heads_alone_has_the_other_plots(study, monkeypatch):
    """Heads have no epochs, and here too few images for a calibration curve: files without rows are no error."""
    monkeypatch.setattr("os.environ", ENVIRONMENT)
    few = [{"stated": 0.6, "correct": 0.5, "images": 4, "low": 0.1, "high": 0.9}]
    head = {"image_size": 64, "freeze": "backbone", "weights": "imagenet"}
    for run in RUNS:
        write_run(run, 20, settings=head, reliability={"before": few, "after": few})
    report.main()
    plots.main()
    page = Path("data/plots/index.html").read_text(encoding="utf-8")
    assert "Taken for" in page
    assert "Loss by epoch" not in page


def test_a_class_of_any_name_leaves_the_page_its_scripts(study, monkeypatch):
    """A browser would take all that follows for a part of the script that names it."""
    monkeypatch.setattr("os.environ", ENVIRONMENT)
    named = "<!--<script>"
    for run in RUNS:
        write_run(run, 20, **of_classes((named, "jay"), [[10, 10], [5, 15]]))
    write_data((named, "jay"))
    report.main()
    plots.main()
    page = Path("data/plots/index.html").read_text(encoding="utf-8")
    assert "<!--" not in page
    assert r"\u003c!--<script>" in page


def test_a_study_of_other_networks_without_a_search_has_its_plots(study, monkeypatch, capfd):
    """No plot names a network, and none fails for want of a trial."""
    monkeypatch.setattr("os.environ", ENVIRONMENT)
    set_params(study, study__networks=["mine"], study__hyperparameters=["default"], study__data=["original"])
    write_run(Run("mine", "default", "original", 1), 30)
    shutil.rmtree("data/hyperparameters")
    report.main()
    plots.main()
    assert "failed" not in "".join(capfd.readouterr())
    assert "mine-default-original-1" in Path("data/plots/index.html").read_text(encoding="utf-8")


def test_a_branch_that_is_not_there_is_said_in_words(study):
    """DVC would draw the rest as if nothing were missing."""
    with pytest.raises(UserError, match="WITH=nonsense is no branch"):
        plots.main("nonsense")
