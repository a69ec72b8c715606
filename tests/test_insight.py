"""Stage insight: what is wrong with the images, by the network that may say so."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from helpers.projects import set_params
from stages import insight
from stages.inspection.image_features import FeatureTable
from stages.reporting.insight import insight_sections, read_insight
from stages.reporting.insight_page import INSIGHT_SECTIONS
from stages.runtime.files import read_csv, read_json
from tests.records import write_data

pytestmark = pytest.mark.slow


def digests() -> dict[str, str]:
    files = [Path("data/doubtful.csv"), *sorted(Path("data/insight").iterdir())]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_frozen_backbone_is_asked_first(study_copy):
    """Whatever the best run; the same bytes each time, a place for each image, and nothing doubted of clear classes."""
    insight.main()
    found = read_json("data/insight/insight.json")
    assert (found["run"], found["frozen"]) == ("efficientnet_lite0-default-original-1", True)
    assert sum(found["images"].values()) == 36
    assert pq.read_table("data/insight/map.parquet").num_rows == 36
    assert found["curve"]["prediction"]["images"] == 2 * (found["images"]["training"] + found["images"]["validation"])
    assert read_csv("data/doubtful.csv") == []
    first = digests()
    insight.main()
    assert digests() == first


def test_without_a_frozen_backbone_the_best_run_is_asked(study_copy):
    """By its last hidden layer; the record says that it has learned from the labels."""
    set_params(Path(), study__networks=["own_cnn"])
    insight.main()
    found = read_json("data/insight/insight.json")
    assert (found["run"], found["frozen"]) == ("own_cnn-default-original-1", False)


def test_who_does_not_want_it_has_nothing(study_copy):
    """Two small files, which report passes over."""
    set_params(Path(), report__insight=False)
    insight.main()
    assert read_json("data/insight/insight.json") == {}
    assert [file.name for file in Path("data/insight").iterdir()] == ["insight.json"]


@pytest.mark.parametrize("same", [True, False], ids=["all the same", "all different"])
@pytest.mark.parametrize(
    ("names", "each"),
    [
        (["crow", "jay", "owl"], 1),
        ([f"{number:04}" for number in range(1000)], 1),
        (["<script>alert(1)</script>", "a|b & `c`"], 8),
    ],
    ids=["one image a class", "a thousand classes", "names with markup"],
)
def test_hostile_sets_are_looked_at_as_well(project, monkeypatch, names, each, same):
    """Nothing fails, nothing is found in images that are all the same, and no name becomes part of report or page."""
    labels = np.tile(np.arange(len(names)), 3 * each)
    splits = np.repeat([0, 1, 2], each * len(names))
    features = np.random.default_rng(0).uniform(0, 1, (1 if same else len(labels), 16)).astype(np.float32)
    features = np.broadcast_to(features, (len(labels), 16))
    paths = [f"{number}/1.jpg" for number in range(each * len(names))] * 3  # as write_data has them
    table = FeatureTable(features, features, labels, splits, paths, [""] * len(labels), names)
    settings = {"head_power": 0.5, "head_shrinkage": 0.5, "flip_tta": True}
    metadata = SimpleNamespace(network="own_cnn", settings=settings)
    for name, value in {"chosen_run": ("run", True), "required_metadata": metadata, "backbone_features": table}.items():
        monkeypatch.setattr(insight, name, lambda *_, value=value: value)
    monkeypatch.setattr(insight, "records_of_study", lambda _: {})
    write_data(names * each)
    insight.main()
    looked = read_insight()
    assert len(looked.places) == len(labels)
    if same:
        assert (looked.doubtful, looked.found["same_scene"]["pairs"]) == ([], 0)
    text = "\n".join(part for section in insight_sections(looked).values() for part in section)
    blocks = [str(block.text) for make in INSIGHT_SECTIONS.values() for block in make(looked, names)]
    assert "<script>" not in text + "".join(blocks)
