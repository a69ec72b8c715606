"""Images of one's own: nothing that happens to them is silent."""

import os
import shutil
import socket
import tarfile
from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import fetch, prepare
from stages.images.shards import read_rows
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv
from tests.conftest import folders_1500_deep, write_images


@pytest.fixture
def mine(project):
    """A folder of two classes of two images, which is the source."""
    set_params(project, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    return write_images(project / "mine", {"crow": 2, "jay": 2})


def fetched() -> list[str]:
    fetch.main()
    raw = Path("data/raw")
    return sorted(file.relative_to(raw).as_posix() for file in raw.rglob("*") if file.is_file())


def refused() -> tuple[str, ...]:
    with pytest.raises(UserError) as raised:
        fetch.main()
    assert not Path("data/raw").exists()
    return raised.value.lines


GOOD = ["crow/000.png", "crow/001.png", "jay/000.png", "jay/001.png"]


def bad_files() -> dict[str, tuple[str, str]]:
    return {row["file"]: (row["class"], row["reason"]) for row in read_csv("data/raw/bad_files.csv")}


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


def write_table(folder: Path, *lines: str, name: str = "labels.csv", encoding: str = "utf-8") -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)


@pytest.fixture
def table(project):
    """Four images in a folder `photos`, and a study of the labels in photos/labels.csv."""
    photos = write_images(project / "photos", {"a": 2, "b": 2})
    set_params(project, dataset__source="folder", dataset__classes="all", dataset__folder__path="photos")
    set_params(project, dataset__folder__labels="labels.csv")
    return photos


def test_labels_may_come_from_a_table(table):
    """Paths are relative to it; where the images lie says nothing of their class."""
    write_table(table, "file,label", "a/000.png,jay", "a/001.png,crow", "b/000.png,crow", "b/001.png,jay")
    assert fetched() == ["crow/a/001.png", "crow/b/000.png", "jay/a/000.png", "jay/b/001.png"]
    assert Path("data/raw/jay/a/000.png").read_bytes() == (table / "a/000.png").read_bytes()


def test_a_table_may_tell_split_and_group(table):
    """Both reach data/raw: the split as a folder, and both in a table for prepare."""
    write_table(
        table, "label,group,file,split", "jay,one,a/000.png,Training", "crow,two,a/001.png,TRAIN",
        "crow,,b/000.png,test", "jay,one,b/001.png,test",
    )  # fmt: skip
    files = ["train/crow/a/001.png", "train/jay/a/000.png", "test/crow/b/000.png", "test/jay/b/001.png"]
    assert fetched() == sorted([*files, "labels.csv"])
    assert {row["file"]: (row["split"], row["group"]) for row in read_csv("data/raw/labels.csv")} == dict(
        zip(files, [("train", "two"), ("train", "one"), ("test", ""), ("test", "one")], strict=True)
    )


def test_a_table_of_excel_and_windows_is_read(table):
    """A mark at its beginning, semicolons, capitals, blanks and backslashes."""
    write_table(
        table, "File; Label;notes", "a\\000.png; jay ;x", "a\\001.png;crow;", "b\\000.png;crow", "b\\001.png;jay",
        encoding="utf-8-sig",
    )  # fmt: skip
    assert fetched() == ["crow/a/001.png", "crow/b/000.png", "jay/a/000.png", "jay/b/001.png"]


def test_rows_without_file_and_files_without_row_are_listed(table):
    """And rows without a label; what is no image needs no row."""
    (table / "notes.txt").write_text("-")
    write_table(table, "file,label", "a/000.png,jay", "a/001.png,", "b/000.png,crow", "c/9.png,crow")
    assert fetched() == ["bad_files.csv", "crow/b/000.png", "jay/a/000.png"]
    assert bad_files() == {
        "a/001.png": ("", "line 3 of labels.csv gives it no label"),
        "crow/c/9.png": ("crow", "line 5 of labels.csv names it, but there is no such file"),
        "b/001.png": ("", "labels.csv has no row for it"),
    }


def test_a_table_may_lie_in_a_wrapped_archive(table):
    """One more folder around the table and a folder of images, in which there are folders as well."""
    write_table(table, "file,label", "photos/a/000.png,jay", "photos/a/001.png,crow")
    wrapped = table.parent / "all/birds/set"
    wrapped.mkdir(parents=True)
    (table / "labels.csv").rename(wrapped / "labels.csv")
    shutil.rmtree(table / "b")
    table.rename(wrapped / "photos")
    with tarfile.open("all.tar", "w") as tar:
        tar.add("all", "all")
    set_params(wrapped.parents[2], dataset__folder__path="all.tar")
    assert fetched() == ["crow/photos/a/001.png", "jay/photos/a/000.png"]


def test_an_image_without_a_row_takes_no_other_ones_place(table):
    """Of two files, one lies where the other one's class puts it: only the one without a row is a bad file."""
    set_params(table.parent, prepare__image_size=32, prepare__on_bad_image="skip")
    write_images(table, {"crow": 6, ".": 6})
    write_images(table, {"jay": 6}, (20, 31))
    rows = [f"{number:03}.png,crow" for number in range(6)] + [f"jay/{number:03}.png,jay" for number in range(6)]
    write_table(table, "file,label", *rows)
    fetch.main()
    prepare.main()
    paths = [row.path for split in ("original", "validation", "test") for row in read_rows(f"data/{split}")]
    assert sorted(paths) == [f"crow/{number:03}.png" for number in range(6)] + [
        f"jay/jay/{number:03}.png" for number in range(6)
    ]
    assert {row["reason"] for row in read_csv("data/skipped.csv")} == {"labels.csv has no row for it"}
    assert len(read_csv("data/skipped.csv")) == 10


def test_what_a_table_contradicts_itself_in_is_named_with_its_line(table):
    """All of it at once."""
    longest = "x" * 256
    write_table(
        table, "file,label,split", "a/000.png,jay,train", "a/000.png,crow,train", "../x.png,jay,test",
        "/etc/passwd,jay,test", "a/001.png,cat/dog,test", "b/000.png,crow,holdout", "b/001.png,crow,", ",crow,train",
        "C:\\a.png,jay,test", f"{longest},jay,test", "b/001.png,a\u202eb,test", "b/001.png,crow, test,",
        "b/001.png,house, finch, test", "b/00\0.png,crow,test", ",,", "",
    )  # fmt: skip
    name = "cannot be the name of a file: a NUL is in it, or it is too long"
    folder = "cannot be the name of a folder, which classes are kept in; call it otherwise"
    assert [line.removeprefix("photos/labels.csv, ") for line in refused()] == [
        f"line 6: label 'cat/dog' {folder}",
        "line 7: split 'holdout' is none of train, training, val, valid, validation, dev, test, testing",
        "line 9: names no file",
        f"line 11: '{longest[:40]}'... {name}",
        f"line 12: label 'a\\u202eb' {folder}",
        "line 14: 'test' is beyond the last column; put a name that holds a separator in double quotes",
        f"line 15: 'b/00\\x00.png'... {name}",
        "line 4: '../x.png' leads out of the table's folder, and so do 2 others; name files relative to the table",
        "line 3: 'a/000.png' has a row already, line 2",
        "line 13: 'b/001.png' has a row already, line 8",
        "line 8: has no split, and others have",
    ]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["name,class", "a,b"], ": has the columns name, class; expected columns file and label, and perhaps split"),
        (["file,label"], ", line 1: no row follows; expected columns file and label, and"),
        (["file,label,split", "a/000.png,x,test", "b/000.png,y,val"], ", column split: no row says"),
        (["file,label", "a/000.png,train", "b/000.png,test"], ", column label: test, train are splits"),
        (["file,label,Label", "a/000.png,crow,jay"], ", line 1: two columns are called label; rename or remove one"),
        (["file,class,target", "a/000.png,1,jay"], ", line 1: class and target could each be the column label; call"),
        (["file,label", f"a/000.png,{'x' * 200_000}"], ", line 2: field larger than field limit (131072); is a double"),
    ],
)
def test_a_table_that_says_too_little_or_too_much_is_refused(table, lines, wrong):
    """With what is expected."""
    write_table(table, *lines)
    assert refused()[0].startswith(f"photos/labels.csv{wrong}")


@pytest.mark.parametrize(
    ("heading", "files"),
    [
        ("id,class", ["a/000", "a/001", "b/000", "b/001"]),  # without their suffix
        ("filename,target", ["a/000.PNG", "A/001.png", "b/000.jpg", "b/001.png"]),  # of another case or suffix
        ("image,label", ["one", "two.png", "three.png", "four"]),  # without their folder
    ],
)
def test_a_table_may_call_files_by_a_part_of_their_path(table, capsys, heading, files):
    """As long as just one file is meant; what was taken for what is said in a line."""
    if "/" not in files[0]:
        for path, name in zip(["a/000", "a/001", "b/000", "b/001"], files, strict=True):
            (table / f"{path}.png").rename(table / path[0] / f"{name.removesuffix('.png')}.png")
    if heading.startswith("filename"):
        (table / "b/000.png").rename(table / "b/000.JPG")
    labels = ["jay", "crow", "crow", "jay"]
    write_table(table, heading, *(f"{file},{label}" for file, label in zip(files, labels, strict=True)))
    found = fetched()
    assert [(name.split("/")[0], name.split("/")[1]) for name in found] == [
        ("crow", "a"), ("crow", "b"), ("jay", "a"), ("jay", "b")
    ]  # fmt: skip
    assert " names stand for files, such as " in capsys.readouterr().out


def test_a_name_that_several_files_have_is_refused(table):
    """000 lies in two folders: both are named."""
    write_table(table, "file,label", "000,jay", "a/001.png,crow", "b/001.png,crow")
    assert refused() == ("photos/labels.csv, line 2: '000' may be a/000.png or b/000.png; name its folder and suffix",)


def test_what_excel_and_file_managers_leave_is_passed_over(table):
    """A first line that names the separator, rows of nothing but separators, columns without a heading."""
    rows = ["a/000.png;jay;;", "a/001.png;crow;;", "b/000.png;crow;;", "b/001.png;jay;;", ";;;", ";;;"]
    write_table(table, "sep=;", "image;category;;", *rows)
    assert fetched() == ["crow/a/001.png", "crow/b/000.png", "jay/a/000.png", "jay/b/001.png"]


def test_a_table_that_is_missing_or_in_another_encoding_is_named(table):
    """With the key, or with what to do."""
    assert refused() == ("params.yaml: dataset.folder.labels = labels.csv, but photos has no such file",)
    write_table(table, "file,label", "a/000.png,blåmes", encoding="latin-1")
    assert refused() == ("photos/labels.csv: not UTF-8; save it as CSV UTF-8",)
    set_params(table.parent, dataset__folder__labels="../labels.csv")
    (line,) = refused()
    assert "dataset.folder.labels = '../labels.csv' is not allowed: must be none, or a file within" in line
