"""The search of a frozen backbone's head: a grid, compared on images that had no part in a fit."""

from pathlib import Path

import numpy as np

from helpers.projects import set_params
from stages import configure, evaluate, train, tune
from stages.networks.common.settings import TrainingConfig
from stages.networks.common.weights import required_metadata
from stages.networks.efficientnet_lite0 import network
from stages.runtime.files import read_csv, read_json
from stages.training.head import assigned_folds
from stages.training.head_run import HeadData
from stages.tuning import head_search
from tests.conftest import network_settings
from tests.training.test_head import gaussians
from tests.training.test_loop import PLAIN

NAME, FOLDER = "efficientnet_lite0", Path("data/hyperparameters/efficientnet_lite0")
TIMES = ("timings", "timing")


def searched(monkeypatch, shuffled: bool) -> tuple[head_search.SearchResult, dict[str, dict[str, object]]]:
    """Search from defaults that hardly shrink; return what was found, and the settings of the heads that are written.

    Of shuffled labels nothing can be learnt.
    """
    features, labels = gaussians(90, 3, 60)
    labels = np.random.default_rng(3).permutation(labels) if shuffled else labels
    data = HeadData(features, labels, np.arange(len(labels)), assigned_folds(labels), ["a", "b", "c"])
    written = {}
    monkeypatch.setattr(head_search, "load_head_data", lambda *_, **__: data)
    monkeypatch.setattr(head_search, "write_head", lambda _, values, __, kind, ___: written.update({kind.name: values}))
    defaults = TrainingConfig(network_settings(NAME, head_power=1.0, head_shrinkage=0.01), PLAIN)
    return head_search.search_head(NAME, defaults, 1, Path()), written


def test_what_has_the_lowest_loss_out_of_fold_is_tuned(project, monkeypatch, capsys):
    """The first trial has the defaults; where they are bad they do not stay."""
    found, written = searched(monkeypatch, shuffled=False)
    losses = [trial.value for trial in found.trials]
    assert len(losses) == 31
    assert found.trials[0].params == {}
    assert min(losses) < losses[0] / 2
    assert found.changed == found.trials[int(np.argmin(losses))].params == {"head_shrinkage": 0.9}
    assert {kind: values["head_shrinkage"] for kind, values in written.items()} == {"default": 0.01, "tuned": 0.9}
    assert "of 31 heads what is expected to be best is head_shrinkage 0.9" in capsys.readouterr().err


def test_where_nothing_is_better_beyond_noise_the_defaults_stay(project, monkeypatch):
    """Of thirty tries at nothing one is always the best."""
    found, written = searched(monkeypatch, shuffled=True)
    assert found.changed == {}
    assert written["tuned"] == written["default"]


def test_the_study_s_files_are_those_of_any_search(study_copy):
    """Settings, a line per trial, and heads that train takes over: the same bytes each time."""
    set_params(
        study_copy, study__hyperparameters=["default", "tuned"], networks__efficientnet_lite0__head_shrinkage=0.01
    )
    configure.main()
    seen = []
    for _ in range(2):
        tune.main(NAME)
        default, tuned = (read_json(FOLDER / f"{name}.json") for name in ("default", "tuned"))
        changed = {name: value for name, value in tuned.items() if default[name] != value}
        assert changed.keys() <= {"head_power", "head_shrinkage"}
        assert [row["state"] for row in read_csv(FOLDER / "trials.csv")] == ["complete"] * 31
        seen.append({str(path): path.read_bytes() for path in FOLDER.rglob("*.*") if path.stem not in TIMES})
    assert seen[0] == seen[1]
    run = [NAME, "default", "original", "1"]
    train.main(*run)
    evaluate.main(*run)
    trained = Path("data/trained") / "-".join(run)
    assert (trained / "weights.safetensors").read_bytes() == (
        FOLDER / "trained-default/weights.safetensors"
    ).read_bytes()
    assert required_metadata(trained / "weights.safetensors").settings["head_shrinkage"] == 0.01


def test_another_seed_or_more_images_fit_a_head_of_their_own(study_copy):
    """Of which the search has trained none."""
    train.main(NAME, "default", "original", "2")
    weights = Path(f"data/trained/{NAME}-default-original-2/weights.safetensors")
    assert network.schema(**required_metadata(weights).settings).freeze == "backbone"
    assert read_json(weights.with_name("timing.json"))["images"] > 0
