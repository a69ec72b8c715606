"""Stage insight: what is wrong with the images, by the network that may say so."""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from helpers.projects import set_params
from stages import insight
from stages.runtime.files import read_csv, read_json

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
    assert found["curve"]["prediction"]["images"] == 2 * (found["images"]["original"] + found["images"]["validation"])
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
