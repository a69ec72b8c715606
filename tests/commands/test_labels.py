"""Doubtful labels are found, decided on in a table, and the next study goes by the decisions."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from helpers.projects import set_params
from stages import fetch, insight, prepare
from stages.commands import labels
from stages.images.shards import class_names, read_rows
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv, read_json, write_csv
from tests import small_study
from tests.conftest import write_images

NETWORK = "efficientnet_lite0"


def put(pictures: Path, **decisions: str) -> None:
    """Write decisions on files, named without folder and suffix, into the table; put it beside the images."""
    rows = read_csv(labels.TABLE)
    for row in rows:
        row["decision"] = decisions.get(Path(row["file"]).stem, row["decision"])
    write_csv(pictures / labels.TABLE.name, list(rows[0]), rows)
    labels.TABLE.unlink()
    set_params(Path(), dataset__folder__labels=labels.TABLE.name)


def prepared() -> dict[str, str]:
    """Return the class of each image that the study has, by the name of its file."""
    names = class_names("data/original")
    rows = [row for name in ("original", "validation", "test") for row in read_rows(f"data/{name}")]
    return {Path(row.path).stem: names[row.label] for row in rows}


def splits() -> dict[str, set[str]]:
    return {
        name: {Path(row.path).stem for row in read_rows(f"data/{name}")} for name in ("original", "validation", "test")
    }


@pytest.fixture
def mislabelled(tmp_path, monkeypatch) -> Path:
    """A study of three classes in which a crow lies among the owls."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY_WORKERS", "1")
    pictures = write_images(tmp_path / "mine", dict.fromkeys(["crow", "jay", "owl"], 16), (120, 90))
    for name in ("crow", "jay", "owl"):
        for file in sorted((pictures / name).iterdir()):
            file.rename(file.with_name(f"{name}{file.name}"))
    shutil.move(pictures / "crow/crow003.png", pictures / "owl")
    with Image.open(pictures / "crow/crow005.png") as image:  # a near copy, which makes a group of its own
        image.resize((60, 45)).save(pictures / "crow/smaller.png")
    small_study.prepare_images(Path("mine"), {NETWORK: {"input_size": 80}}, prepare__image_size=96)
    return pictures


@pytest.mark.slow
def test_wrong_labels_are_found_decided_on_and_set_right(mislabelled, capsys):
    """The loop as a person goes through it: the crow is first in the table, and then a crow; splits stay."""
    small_study.embed_images(NETWORK)
    run = small_study.fit_head(NETWORK)
    before = read_json(f"metrics/runs/{run}.json")["accuracy"]
    insight.main()
    labels.main()
    assert "decided-labels.csv" not in {file.name for file in mislabelled.iterdir()}  # DVC would run fetch again
    first = read_csv(labels.TABLE)[0]
    told = [first[name] for name in ("file", "label", "decision", "likelier")]
    assert float(first["likelier_probability"]) > 5 * float(first["probability"])
    assert told == ["owl/crow003.png", "owl", "", "crow"]
    said = capsys.readouterr().out
    assert "doubtful labels first (1)" in said
    assert "Then: mv data/decided-labels.csv mine\n" in said
    kept = splits()
    put(mislabelled, crow003="Change to crow", jay007="remove")
    fetch.main()
    assert "decided-labels.csv: labels confirmed or changed: 1; images removed: 1\n" in capsys.readouterr().out
    prepare.main()
    found = prepared()
    assert {row["group"] for row in read_csv(mislabelled / labels.TABLE.name)} == {""}
    assert (found["crow003"], len(found)) == ("crow", 48)
    assert "jay007" not in found
    assert splits() == {name: images - {"jay007"} for name, images in kept.items()}
    small_study.embed_images(NETWORK)
    assert read_json(f"metrics/runs/{small_study.fit_head(NETWORK)}.json")["accuracy"] >= before
    insight.main()
    assert read_csv("data/doubtful.csv") == []
    labels.main()  # what was removed stays so
    assert [row["file"] for row in read_csv(labels.TABLE) if row["decision"] == "remove"] == ["jay/jay007.png"]


@pytest.mark.slow
def test_a_label_that_a_person_has_kept_is_doubted_no_more(mislabelled):
    """One that was left without a decision is; the next table tells which is which."""
    shutil.move(mislabelled / "owl/owl009.png", mislabelled / "jay")
    fetch.main()
    prepare.main()
    small_study.embed_images(NETWORK)
    small_study.fit_head(NETWORK)
    insight.main()
    assert {Path(row["file"]).stem for row in read_csv("data/doubtful.csv")} == {"crow003", "owl009"}
    labels.main()
    put(mislabelled, crow003="keep")
    fetch.main()
    prepare.main()
    insight.main()
    (doubted,) = read_csv("data/doubtful.csv")
    assert (Path(doubted["file"]).stem, doubted["split"]) == ("owl009", splits_of()["owl009"])
    labels.main()
    decided = {Path(row["file"]).stem: row["decision"] for row in read_csv(labels.TABLE)}
    assert {name: decision for name, decision in decided.items() if decision} == {"crow003": "keep"}


def splits_of() -> dict[str, str]:
    """Return the split of each image, as the table calls it."""
    return {Path(row["file"]).stem: row["split"] for row in read_csv("mine/decided-labels.csv")}


@pytest.mark.parametrize("layout", ["folders", "splits"])
def test_a_table_without_a_change_changes_nothing(mislabelled, layout):
    """Every shard has the same bytes, so no feature is computed again, and studies before and after can be compared."""
    if layout == "splits":
        for name in ("crow", "jay", "owl"):
            for split in ("training", "test"):
                shutil.copytree(mislabelled / name, mislabelled / split / name)
                for odd in sorted((mislabelled / split / name).iterdir())[split == "test" :: 2]:
                    odd.unlink()
            shutil.rmtree(mislabelled / name)
        fetch.main()
        prepare.main()
    before = shards()
    insight_of_nothing()
    labels.main()
    put(mislabelled)
    fetch.main()
    prepare.main()
    assert len(before) == 3
    assert shards() == before


def shards() -> dict[str, bytes]:
    files = [file for name in ("original", "validation", "test") for file in Path("data", name).iterdir()]
    return {file.as_posix(): file.read_bytes() for file in files}


def test_a_decision_that_is_none_is_refused(mislabelled):
    """With its line, and what may stand there; nothing is fetched."""
    insight_of_nothing()
    labels.main()
    put(mislabelled, crow001="perhaps", crow002="change to ", crow004="change to owls")
    with pytest.raises(UserError) as raised:
        fetch.main()
    assert [line.partition(": ")[2] for line in raised.value.lines] == [
        "decision 'perhaps' is none of keep, change to CLASS and remove",
        "decision 'change to' is none of keep, change to CLASS and remove",
        "no other image is of class 'owls'; did you mean owl?",
    ]


def insight_of_nothing() -> None:
    write_csv("data/doubtful.csv", insight.COLUMNS, [])


def test_a_table_needs_a_folder_and_a_study(mislabelled):
    """Images of another source have no files that a table could name."""
    with pytest.raises(UserError, match=r"data/doubtful.csv is missing"):
        labels.main()
    insight_of_nothing()
    with Path("data/doubtful.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(["owl/gone.png", "test", "owl", "crow", "0.01", "0.9"])
    with pytest.raises(UserError, match=r"owl/gone.png is gone"):
        labels.main()
    set_params(Path(), dataset__source="synthetic")
    with pytest.raises(UserError, match="labels can be decided on where images lie in a folder"):
        labels.main()
