"""Images of one's own: nothing that happens to them is silent."""

import os
import socket
from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import fetch
from stages.runtime.files import read_csv
from tests.conftest import folders_1500_deep, write_images
from tests.fetching import bad_files, fetched, refused


@pytest.fixture
def mine(project):
    """A folder of two classes of two images, which is the source."""
    set_params(project, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    return write_images(project / "mine", {"crow": 2, "jay": 2})


GOOD = ["crow/000.png", "crow/001.png", "jay/000.png", "jay/001.png"]


def test_what_is_no_file_is_listed_with_its_reason(mine):
    """Links to nothing and in circles, pipes and sockets: each is a bad file of its class, and none is waited for."""
    crow = mine / "crow"
    (crow / "gone.jpg").symlink_to("/nowhere/gone.jpg")
    (crow / "self.jpg").symlink_to("self.jpg")
    (crow / "above").symlink_to("..")
    (crow / "deep").mkdir()
    (crow / "deep/again").symlink_to(crow)
    os.mkfifo(crow / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as opened:
        os.chdir(crow)  # a socket's path must be short
        opened.bind("socket")
        os.chdir(mine.parent)
    assert fetched() == ["bad_files.csv", *GOOD]
    assert bad_files() == {
        "crow/gone.jpg": ("crow", "a link to /nowhere/gone.jpg, which does not exist"),
        "crow/self.jpg": ("crow", "a link that leads round in a circle"),
        "crow/above": ("crow", "a link that leads round in a circle"),
        "crow/deep/again": ("crow", "a link that leads round in a circle"),
        "crow/pipe.jpg": ("crow", "a named pipe, no file"),
        "crow/socket": ("crow", "a socket, no file"),
    }


def test_good_links_are_followed(mine, capsys):
    """To files and to folders, wherever they lie; a line says that DVC does not look behind those to folders."""
    elsewhere = write_images(mine.parent / "elsewhere", {"more": 1})
    (mine / "crow/linked.png").symlink_to(elsewhere / "more/000.png")
    (mine / "crow/folder").symlink_to(elsewhere / "more")
    (mine / "rook").symlink_to(elsewhere / "more")
    assert fetched() == sorted([*GOOD, "crow/folder/000.png", "crow/linked.png", "rook/000.png"])
    assert Path("data/raw/crow/linked.png").read_bytes() == (elsewhere / "more/000.png").read_bytes()
    assert "crow/folder and 1 others are links to a folder, into which DVC does not look" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="Linux alone has a file that its owner cannot read")
def test_a_file_that_cannot_be_read_is_listed(mine):
    """Permissions, a broken disk: the reason is the system's."""
    (mine / "jay/broken.png").symlink_to("/proc/self/mem")
    assert fetched() == ["bad_files.csv", *GOOD]
    assert bad_files() == {"jay/broken.png": ("jay", "cannot be read (Input/output error)")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_listed(mine):
    """A file and a folder that belong to somebody else."""
    (mine / "crow/closed.png").write_bytes(b"1")
    (mine / "crow/closed.png").chmod(0)
    (mine / "crow/closed").mkdir(mode=0)
    assert fetched() == ["bad_files.csv", *GOOD]
    assert bad_files() == {
        "crow/closed": ("crow", "a folder that may not be read (permission denied)"),
        "crow/closed.png": ("crow", "may not be read (permission denied)"),
    }


def test_folders_too_deep_are_listed(mine):
    """Python's own functions fail beyond some hundred folders below each other; nobody keeps images there."""
    with folders_1500_deep(mine / "crow"):
        assert fetched() == ["bad_files.csv", *GOOD]
        (row,) = read_csv("data/raw/bad_files.csv")
        assert row["reason"] == "lies more than 100 folders deep; move what is in it up"


def test_a_study_in_folders_too_deep_is_refused(mine):
    """A chain of folders around all classes ends in words as well."""
    wrapped = mine.parent / Path(*["w"] * 300)
    wrapped.mkdir(parents=True)
    mine.rename(wrapped / "mine")
    set_params(mine.parent, dataset__folder__path="w")
    assert fetched() == GOOD


def test_odd_names_of_files_stay_whole_in_tables(mine):
    """A carriage return ends no row, and macOS's Icon files are passed over."""
    (mine / "crow/Icon\r").write_bytes(b"icon")
    (mine / "crow/a\rb,jay.jpg").symlink_to("/nowhere")
    assert fetched() == ["bad_files.csv", *GOOD]
    assert bad_files() == {"crow/a\rb,jay.jpg": ("crow", "a link to /nowhere, which does not exist")}


@pytest.mark.parametrize(("name", "shown"), [("a\x9b2Jb", "'a\\x9b2Jb'"), ("a\u202eb", "'a\\u202eb'")])
def test_names_that_change_a_terminal_are_refused_and_not_printed(mine, name, shown):
    """A class of such a name would reach report, page and terminal."""
    write_images(mine, {name: 1})
    assert refused() == (f"mine: class {shown} has a control character in its name; rename it",)


def test_a_home_folder_is_written_out(mine, monkeypatch):
    """DVC watches the folder and knows no ~."""
    monkeypatch.setenv("HOME", "/home/ann")
    set_params(mine.parent, dataset__folder__path="~/birds")
    (line,) = refused()
    assert line.endswith("DVC, which watches this folder, does not know ~; write /home/ann/birds")


def test_images_outside_of_all_classes_are_listed(mine):
    """As a link that might have been a class is; notes beside the classes are not."""
    write_images(mine, {".": 1})
    (mine / "notes.txt").write_text("-")
    (mine / "rook").symlink_to("/nowhere")
    assert fetched() == ["bad_files.csv", *GOOD]
    assert bad_files() == {
        "000.png": ("", "lies in no class's folder"),
        "rook": ("", "a link to /nowhere, which does not exist"),
    }


def test_a_note_beside_the_folder_that_holds_all_does_no_harm(mine):
    """birds/crow/, birds/jay/ and a README."""
    (mine.parent / "wrapped").mkdir()
    mine.rename(mine.parent / "wrapped/birds")
    (mine.parent / "wrapped/README.txt").write_text("-")
    set_params(mine.parent, dataset__folder__path="wrapped")
    assert fetched() == GOOD


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("Cat", "cat", ("'Cat'", "'cat'")),
        ("cafe\u0301", "caf\u00e9", ("'cafe\u0301' (cafe\\u0301)", "'caf\u00e9' (caf\\xe9)")),
    ],
)
def test_classes_that_some_systems_hold_for_one_are_refused(mine, one, other, shown):
    """With both names, told apart where they look the same."""
    write_images(mine, {one: 1, other: 1})
    advice = "are one where case or how accents are composed does not count; rename or merge them"
    assert refused() == (f"mine: classes {shown[0]} and {shown[1]} {advice}",)


def test_classes_that_are_the_same_number_are_refused(mine):
    """A spreadsheet drops zeros in front: one class would be two, and neither be learnt."""
    write_images(mine, {"1": 1, "01": 1, "10": 1})
    assert refused() == (
        "mine: classes '01' and '1' are one number; merge them (spreadsheets drop zeros in front), or call them"
        " otherwise",
    )


def test_classes_of_two_splits_that_some_systems_hold_for_one_are_refused(mine):
    """train/crow and test/Crow are not two classes that the other lacks."""
    for split, name in {"train": "crow", "test": "Crow"}.items():
        write_images(mine.parent / "split" / split, {name: 1, "jay": 1})
    set_params(mine.parent, dataset__folder__path="split")
    (line,) = refused()
    assert line.startswith("split: classes 'Crow' and 'crow' are one where case")


def test_files_that_would_overwrite_each_other_elsewhere_are_refused(mine):
    """Two images on Linux are one on macOS: nobody gets another data set; one of another class does no harm."""
    (mine / "crow/Deep").mkdir()
    for name in ("crow/a.PNG", "crow/A.png", "jay/a.png", "crow/Deep/x.png"):
        (mine / name).write_bytes(b"1")
    assert refused() == (
        "mine: files 'crow/A.png' and 'crow/a.PNG' are one where case or how accents are composed does not count;"
        " rename or merge them",
    )


def test_names_that_are_not_utf_8_are_refused(mine):
    """As unzip leaves those of old archives; a class of such a name as well."""
    (mine / os.fsdecode(b"caf\xe9")).mkdir()
    for name in (b"caf\xe9/1.png", b"crow/\xff.png"):
        (mine / os.fsdecode(name)).write_bytes(b"1")
    advice = "is no name in UTF-8; rename it (convmv renames whole folders)"
    assert refused() == (f"mine: 'caf\\udce9/1.png' {advice}", f"mine: 'crow/\\udcff.png' {advice}")


def test_small_classes_can_be_left_out_and_are_listed(mine):
    """The first N classes are N of those that are large enough."""
    write_images(mine, {"ani": 1, "kea": 3, "rook": 1})
    (mine / "daw").mkdir()
    set_params(mine.parent, dataset__min_images_per_class=2, dataset__classes=3)
    assert fetched() == sorted([*GOOD, "kea/000.png", "kea/001.png", "kea/002.png", "small_classes.csv"])
    assert read_csv("data/raw/small_classes.csv") == [
        {"class": "ani", "images": "1"}, {"class": "daw", "images": "0"}
    ]  # fmt: skip
    set_params(mine.parent, dataset__classes=["jay", "kea", "rook"])
    fetch.main()
    assert read_csv("data/raw/small_classes.csv") == [{"class": "rook", "images": "1"}]


def test_classes_that_are_all_too_small_are_no_study(mine):
    """The line names the setting."""
    write_images(mine, {"kea": 3})
    set_params(mine.parent, dataset__min_images_per_class=4)
    assert refused() == (
        "mine: params.yaml: dataset.min_images_per_class = 4 leaves 0 of 3 classes; lower it or add images",
    )


def test_a_class_that_a_split_lacks_counts_as_empty(mine):
    """With min_images_per_class it is left out; without, it stops the study."""
    for split, classes in {"train": {"crow": 2, "jay": 2, "rook": 2}, "val": {"crow": 1, "jay": 1, "daw": 1}}.items():
        write_images(mine.parent / "split" / split, classes)
    set_params(mine.parent, dataset__folder__path="split")
    advice = "complete or remove it, or set dataset.min_images_per_class: 1"
    assert refused() == (
        f"split: class 'daw' is in val/ but not in train/; {advice}",
        f"split: class 'rook' is in train/ but not in val/; {advice}",
    )
    set_params(mine.parent, dataset__min_images_per_class=1)
    assert fetched() == [
        "small_classes.csv", "train/crow/000.png", "train/crow/001.png", "train/jay/000.png", "train/jay/001.png",
        "val/crow/000.png", "val/jay/000.png",
    ]  # fmt: skip


def test_classes_named_by_numbers_are_taken_in_their_order(mine):
    """The first three of 1 to 12 are 1, 2 and 3."""
    write_images(mine.parent / "numbers", {str(number): 1 for number in range(1, 13)})
    set_params(mine.parent, dataset__folder__path="numbers", dataset__classes=3)
    assert fetched() == ["1/000.png", "2/000.png", "3/000.png"]
