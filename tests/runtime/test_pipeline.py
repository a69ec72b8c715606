"""What runs of other settings have left goes; what the study names and what is being written stays."""

from pathlib import Path

import pytest

from stages.runtime.pipeline import left_in_study, remove_leftovers, resolve, start_message

TRAINED, SCORES = "data/trained/${item.network}-${item.seed}", "metrics/${item.network}-${item.seed}.json"
MATRIX = {"network": "${study.networks}", "seed": "${study.seeds}"}
STAGES = {
    "prepare": {"outs": ["data/original"]},
    "embed": {"matrix": MATRIX | {"seed": [1]}, "outs": ["data/features/${item.network}/test"]},
    "train": {"matrix": MATRIX, "outs": [TRAINED, {SCORES: {"cache": False}}]},
}
STUDY = {"networks": ["cnn", "vit"], "seeds": [1, 10]}
FILES = (
    "data/original/0.parquet", "data/features/cnn/test/0.parquet", "data/features/old/test/0.parquet",
    "data/trained/cnn-1/weights", "data/trained/vit-10/weights", "data/trained/old-1/weights",
    "data/trained/cnn-2/weights", "data/trained/cnn-1.unfinished/weights", "data/checkpoints/old-1.pt",
    "metrics/cnn-1.json", "metrics/old-1.json", "metrics/metrics.json",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in map(Path, FILES):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def left() -> set[str]:
    """Return the files that are there."""
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def test_outputs_of_runs_that_the_study_does_not_name_go():
    """A network, a seed of another branch; their records as well, which would be committed with this study's."""
    gone = remove_leftovers(STAGES, {"study": STUDY})
    assert list(map(str, gone)) == [
        "data/features/old/test",
        "data/trained/cnn-2",
        "data/trained/old-1",
        "metrics/old-1.json",
    ]
    assert left() == {file for file in FILES if not file.startswith(tuple(map(str, gone)))}
    assert remove_leftovers(STAGES, {"study": STUDY}) == []


@pytest.mark.parametrize("study", [None, {}, {"networks": "cnn", "seeds": [1]}, {"networks": ["cnn"], "seeds": None}])
def test_settings_that_name_no_runs_remove_nothing(study):
    """A mistake in params.yaml costs no training."""
    assert remove_leftovers(STAGES, {"study": study}) == []
    assert left() == set(FILES)


def test_a_link_goes_and_what_it_points_to_stays(tmp_path):
    """DVC may put links to its cache in place of files and folders."""
    kept = tmp_path / "cache"
    kept.mkdir()
    (kept / "weights").touch()
    Path("data/trained/cnn-3").symlink_to(kept)
    assert Path("data/trained/cnn-3") in remove_leftovers(STAGES, {"study": STUDY})
    assert (kept / "weights").exists()


def test_values_take_the_place_of_their_keys():
    """As DVC does it; what is not there reads None, which is no file."""
    assert resolve("data/${item.network}/${none}.json", {"item": {"network": "cnn"}}) == "data/cnn/None.json"


def test_a_stage_that_begins_says_its_place_and_its_task():
    """Among all stages in their order, so that a person sees how far a study is; a stage without a matrix likewise."""
    stages = {name: stage | {"desc": f"Do {name}."} for name, stage in STAGES.items()}
    said = [start_message(stages, {"study": STUDY}, name, {}) for name in ("prepare", "embed@vit-1", "train@vit-10")]
    assert said == [
        "stage 1 of 7, prepare: Do prepare.",
        "stage 3 of 7, embed@vit-1: Do embed.",
        "stage 7 of 7, train@vit-10: Do train.",
    ]
    assert start_message(stages, {"study": STUDY}, "train@old-1", {}) == "stage train@old-1: Do train."
    last = {"train@vit-10": 100}
    assert start_message(stages, {"study": STUDY}, "train@vit-10", last) == (
        "stage 7 of 7, about 2 min left, train@vit-10: Do train."
    )


def test_what_has_left_the_study_is_told_from_what_may_be_anybody_elses():
    """Of a matrix whose values are known, names that these do not give; of others, and without a matrix, none."""
    params = {"study": STUDY}
    names = ["train@vit-10", "train@old-1", "embed@cnn-10", "prepare", "mine", "mine@1"]
    left = [name for name in names if left_in_study(STAGES, params, name)]
    assert left == ["train@vit-10", "prepare", "mine", "mine@1"]
    assert left_in_study(STAGES, {}, "train@old-1")  # whose axes nothing says
