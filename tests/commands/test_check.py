"""`make` checks first: every mistake in params.yaml is named before anything runs."""

import os
import subprocess
import sys
from shutil import copy

import pytest

from helpers.projects import ROOT, set_params
from stages.commands import check
from stages.commands.check import main
from stages.networks.common.contract import network_names
from stages.runtime.errors import UserError
from tests.conftest import folders_1500_deep


@pytest.fixture(autouse=True)
def _default_folder(project):
    (project / "data/pictures").mkdir(parents=True)
    copy(ROOT / "dvc.yaml", project)


def lines() -> tuple[str, ...]:
    with pytest.raises(UserError) as raised:
        main()
    return raised.value.lines


def test_the_default_settings_are_right():
    """What is committed passes."""
    main()


def test_settings_are_checked_without_torch():
    """A person who mistyped one hears of it at once."""
    code = "import sys\nfrom stages.commands.check import main\nmain()\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_folders_in_which_dvc_gets_lost_are_refused(project):
    """And looked at without getting lost oneself."""
    with folders_1500_deep(project / "data/pictures"):
        (line,) = lines()
    assert line.startswith("data/pictures/d/d/d")
    assert "lies more than 100 folders deep; move what is in it up" in line


def test_options_of_the_data_may_be_left_out(project):
    """Their defaults stand in the schemas; DVC itself asks for the path that it watches."""
    set_params(project, prepare={}, augment={}, dataset__synthetic={}, dataset__folder={"path": "pictures"})
    (project / "pictures").mkdir()
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
        networks__resnet50__search__trials=0,
        training__epochs=0,
        dataset__folder__pth="x",
    )
    keys = ["augmnet", "seed", "study.data", "prepare.image_size", "augment.copies", "networks.resnet50.search.trials",
            "training.epochs", "dataset.folder.pth"]  # fmt: skip
    found = lines()
    assert len(found) == len(keys)
    for key in keys:
        assert any(f": {key} " in line for line in found), key


def test_a_network_without_a_module_is_named(project):
    """With its line, and the one that was meant, or those there are; likewise a section of its own."""
    set_params(project, study__networks=["efficientnet_lite", "pigeon"], networks__own_cn={})
    found = [line.partition(": ")[2] for line in lines()]
    assert found == [
        "networks.own_cn is not a setting; did you mean own_cnn?",
        "study.networks.0 = 'efficientnet_lite' is not allowed: stages/networks/efficientnet_lite.py is missing; did"
        " you mean efficientnet_lite0?",
        "study.networks.1 = 'pigeon' is not allowed: stages/networks/pigeon.py is missing; there are"
        f" {', '.join(network_names())}",
    ]


def test_a_network_needs_no_section(project):
    """Its file and its name in study.networks are enough, as for `dvc repro`: all else has defaults."""
    set_params(project, study__networks=["own_cnn", "convnext_tiny"], networks={"own_cnn": {"input_size": 64}})
    main()


def test_a_network_whose_name_is_no_word_of_a_run_is_named(project):
    """A dash would part it, and what a shell reads has no place in it."""
    set_params(project, study__networks=["own-cnn"])
    assert "study.networks.0 = 'own-cnn' is not allowed" in lines()[0]


def test_freezing_what_no_weights_brought_is_a_contradiction(project):
    """A backbone of random weights that never learns is nobody's wish."""
    set_params(project, networks__resnet50__freeze="backbone")
    key = "networks.resnet50"
    assert lines() == (f"params.yaml: {key}.freeze = backbone, but there is nothing to keep: weights = none",)


def test_an_input_too_small_for_a_network_of_the_study_is_named(project):
    """Before anything runs; who leaves that network out may have it as small."""
    set_params(project, training__input_size=48)
    assert lines() == ("params.yaml: networks.own_cnn.input_size = 48, but own_cnn needs 64 or more",)
    set_params(project, study__networks=["resnet50"])
    main()


def test_a_missing_file_of_weights_is_named(project):
    """Before stages have run for minutes."""
    path = "data/pretrained/own_cnn/birds.safetensors"
    set_params(project, networks__own_cnn__weights=path)
    assert lines() == (
        f"params.yaml: networks.own_cnn.weights = {path} does not exist; name a file, the name of weights, or none",
    )


@pytest.mark.parametrize("given", ["data/pretrained/own_cnn/birds.safetensors", "data/pretrained/own_cnn"])
def test_weights_that_dvc_has_are_pulled(project, given):
    """As in a clone of a study whose weights were added, alone or with their folder; pictures likewise."""
    path = "data/pretrained/own_cnn/birds.safetensors"
    set_params(project, networks__own_cnn__weights=path, dataset__folder__path="mine")
    for name in (given, "mine"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / f"{name}.dvc").write_text("outs: []", encoding="utf-8")
    assert lines() == (
        "params.yaml: dataset.folder.path = mine is with DVC and not here yet: `dvc pull mine.dvc` brings it",
        f"params.yaml: networks.own_cnn.weights = {path} is with DVC and not here yet: `dvc pull {given}.dvc` brings"
        " it",
    )


def test_a_missing_folder_is_named_before_dvc_stumbles(project):
    """DVC would only say that a dependency is missing."""
    set_params(project, dataset__folder__path="elsewhere")
    assert lines() == (
        "params.yaml: dataset.folder.path = elsewhere does not exist; DVC watches it whatever the source is",
    )


def test_a_folder_that_was_fetched_from_may_be_missing(project, capsys, monkeypatch):
    """As in a clone that has pulled all but photographs that nobody shared; another folder may not."""
    set_params(project, dataset__folder__path="../course-data")
    lock = "schema: '2.0'\nstages:\n  fetch:\n    cmd: fetch\n    deps:\n    - path: ../course-data\n"
    (project / "dvc.lock").write_text(lock, encoding="utf-8")
    assert lines()[0].endswith("../course-data does not exist; `make pull` brings what was made of it")
    (project / "data/raw").mkdir()
    monkeypatch.setattr(check, "dvc_output", lambda *_: '{"fetch": [{"changed deps": {"../course-data": "deleted"}}]}')
    main()
    assert capsys.readouterr().out == "--allow-missing\n"
    set_params(project, dataset__folder__path="../other")
    assert "../other does not exist; DVC watches it" in lines()[0]


def test_a_folder_that_holds_but_a_note_counts_as_missing(project, capsys, monkeypatch):
    """In a colleague's clone Git has brought the note alone: DVC would take that for other images, and fetch these."""
    note = project / "data/pictures/README.md"
    note.write_text("Put your images here.\n", encoding="utf-8")
    set_params(project, dataset__source="folder")
    lock = "schema: '2.0'\nstages:\n  fetch:\n    deps:\n    - path: data/pictures\n      nfiles: {}\n"
    (project / "dvc.lock").write_text(lock.format(0), encoding="utf-8")
    main()
    assert note.exists()
    (project / "dvc.lock").write_text(lock.format(2), encoding="utf-8")
    assert "data/pictures has no images; `make pull` brings what was made of it" in lines()[0]
    (project / "data/raw").mkdir()
    set_params(project, dataset__source="synthetic")
    main()
    assert note.exists()  # other sources take nothing from it
    capsys.readouterr()
    set_params(project, dataset__source="folder")
    monkeypatch.setattr(check, "dvc_output", lambda *_: "{}")
    main()
    shown = capsys.readouterr()
    assert (shown.out, note.parent.exists()) == ("--allow-missing\n", False)
    assert "data/pictures has no images here: the study goes on with data/raw" in shown.err


def test_an_empty_folder_that_was_fetched_from_is_no_change(project):
    """As where a disk is not mounted: fetch would take away data/raw, and then find nothing to fetch."""
    (project / "disk").mkdir()
    set_params(project, dataset__source="folder", dataset__folder__path="disk")
    main()  # of a study that was made of nothing yet, fetch tells what is wrong
    lock = "schema: '2.0'\nstages:\n  fetch:\n    deps:\n    - path: disk\n      nfiles: 1200\n"
    (project / "dvc.lock").write_text(lock, encoding="utf-8")
    (line,) = lines()
    assert line.startswith("params.yaml: dataset.folder.path = disk is empty, and the study was made from 1,200 files")
    set_params(project, dataset__source="synthetic")
    main()  # other sources take nothing from it
    set_params(project, dataset__source="folder")
    (project / "disk/crow.png").touch()
    main()


def test_a_note_in_a_folder_of_ones_own_is_left_alone(project):
    """Git brings back the one in data/pictures; nobody brings back a person's."""
    note = project / "mine/README.md"
    note.parent.mkdir()
    note.write_text("My notes", encoding="utf-8")
    (project / "data/raw").mkdir()
    set_params(project, dataset__source="folder", dataset__folder__path="mine")
    lock = "schema: '2.0'\nstages:\n  fetch:\n    deps:\n    - path: mine\n      nfiles: 2\n"
    (project / "dvc.lock").write_text(lock, encoding="utf-8")
    main()
    assert note.read_text(encoding="utf-8") == "My notes"


def test_a_stage_that_has_left_the_study_leaves_dvc_lock_where_the_cache_lacks_its_outputs(project, monkeypatch):
    """As the default study's in a clone for images of one's own; what the cache has comes back without running."""
    (project / "cache/files/md5/ab").mkdir(parents=True)
    (project / "cache/files/md5/ab/cd.dir").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(check, "dvc_output", lambda *_: f"{project / 'cache'}\n")
    entry = "  {}:\n    cmd: x\n    outs:\n    - path: data/settings\n      md5: {}\n"
    names = {"configure": "beef", "train@old-default-original-1": "beef", "train@new-default-original-1": "abcd.dir"}
    entries = [entry.format(name, digest) for name, digest in names.items()]
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n" + "".join(entries), encoding="utf-8")
    main()
    kept = (project / "dvc.lock").read_text(encoding="utf-8")
    assert [name for name in names if f"  {name}:" in kept] == ["configure", "train@new-default-original-1"]


def test_files_at_which_dvc_would_stop_are_named(project):
    """DVC opens all that is in the folder: at a pipe it would wait for ever, at a link to nothing it gives up."""
    (project / "data/pictures/crow").mkdir()
    (project / "data/pictures/crow/good.jpg").write_bytes(b"1")
    (project / "data/pictures/crow/gone.jpg").symlink_to("/nowhere.jpg")
    os.mkfifo(project / "data/pictures/crow/pipe")
    advice = "DVC, which watches this folder, stops at it: mend or remove it"
    assert lines() == (
        f"data/pictures/crow/gone.jpg: a link to /nowhere.jpg, which does not exist; {advice}",
        f"data/pictures/crow/pipe: a named pipe, no file; {advice}",
    )


def test_folders_into_which_dvc_does_not_look_are_named(project, capsys):
    """The stage fetch follows links to folders; what changes behind them DVC does not see."""
    (project / "elsewhere").mkdir()
    (project / "elsewhere/1.jpg").touch()
    main()
    assert "into which DVC" not in capsys.readouterr().err
    for name in ("crow", "jay"):
        (project / f"data/pictures/{name}").symlink_to(project / "elsewhere")
    main()
    assert (
        "warning: data/pictures/crow and 1 others are links to a folder, into which DVC does not look: after a change"
        " behind it, `dvc repro -f fetch`"
    ) in capsys.readouterr().err


def test_a_mistyped_key_of_the_dataset_is_answered_as_in_other_sections(project):
    """With its line and what was meant, not with what all sources have set; an unknown source's section likewise."""
    set_params(project, dataset__class=20, dataset__flickr={})
    mistyped, unknown = lines()
    assert mistyped.endswith("dataset.class is not a setting; did you mean classes?")
    assert "dataset.flickr is not a setting; allowed here: source, classes" in unknown


def test_the_reports_section_is_checked(project):
    """Before anything runs, with what is allowed."""
    set_params(project, report__published_study="sometimes")
    assert "report.published_study = 'sometimes' is not allowed" in lines()[0]


def test_nothing_is_made_that_dvc_needs(project):
    """A bare `dvc repro` finds the same folders as one after a check; a missing one for weights is no mistake."""
    before = sorted(project.rglob("*"))
    main()
    assert sorted(project.rglob("*")) == before


def test_a_cut_lock_is_mended_before_dvc_stumbles(project, capsys):
    """With a line that says so."""
    (project / "dvc.lock").write_text("schema", encoding="utf-8")
    main()
    assert "warning: dvc.lock was cut off" in capsys.readouterr().err
