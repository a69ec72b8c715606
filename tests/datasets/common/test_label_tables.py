"""Labels may stand in a table: what is read, what is refused with its line, and that images keep their names."""

import shutil
import tarfile
from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import fetch, prepare
from stages.images.shards import read_rows
from stages.runtime.files import read_csv
from tests.conftest import write_images
from tests.fetching import bad_files, fetched, refused

NO_ROW = "has no row for it: add one, which may say remove in a column decision"


def of_prepare() -> dict[str, tuple[str, str, str]]:
    return {row["file"]: (row["class"], row["split"], row["group"]) for row in read_csv("data/raw/labels.csv")}


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
    """Paths are relative to it; where the images lie says nothing of their class, and they keep their names."""
    write_table(table, "file,label", "a/000.png,jay", "a/001.png,crow", "b/000.png,crow", "b/001.png,jay")
    assert fetched() == ["a/000.png", "a/001.png", "b/000.png", "b/001.png", "labels.csv"]
    assert Path("data/raw/a/000.png").read_bytes() == (table / "a/000.png").read_bytes()
    assert of_prepare() == {
        "a/000.png": ("jay", "", ""),
        "a/001.png": ("crow", "", ""),
        "b/000.png": ("crow", "", ""),
        "b/001.png": ("jay", "", ""),
    }


@pytest.mark.parametrize("layout", ["{}", "wrapped/{}", "Train_images/{}"])
def test_a_table_of_what_the_folders_say_changes_no_name(project, layout):
    """Neither that of a folder around all, nor what this project calls a split: results stay comparable."""
    mine = project / "mine"
    set_params(project, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    write_images(mine, {layout.format("crow"): 3, layout.format("jay"): 3})
    if "images" in layout:
        write_images(mine, {"Test Set/crow": 3, "Test Set/jay": 3})
    before = fetched()
    paths = sorted(path.relative_to(mine).as_posix() for path in mine.rglob("*.png"))
    splits = ["test" if "Test" in path else "train" for path in paths]
    rows = [f"{path},{path.split('/')[-2]},{split}" for path, split in zip(paths, splits, strict=True)]
    write_table(mine, "file,label,split", *rows)
    set_params(project, dataset__folder__labels="labels.csv")
    assert fetched() == sorted(["labels.csv", *before])


def test_a_file_with_the_name_of_one_of_our_tables_is_no_image(table):
    """It is listed, and takes no table's place."""
    (table / "bad_files.csv").write_bytes((table / "a/000.png").read_bytes())
    write_table(
        table, "file,label", "bad_files.csv,jay", "a/000.png,jay", "a/001.png,crow", "b/000.png,crow", "b/001.png,jay"
    )
    fetch.main()
    assert bad_files() == {"bad_files.csv": ("jay", "has the name of a table of this project; call it otherwise")}


def test_a_table_may_tell_split_and_group(table):
    """Both reach prepare by the table that fetch leaves."""
    write_table(
        table, "label,group,file,split", "jay,one,a/000.png,Training", "crow,two,a/001.png,TRAIN",
        "crow,,b/000.png,test", "jay,one,b/001.png,test",
    )  # fmt: skip
    fetch.main()
    assert of_prepare() == {
        "a/000.png": ("jay", "train", "one"),
        "a/001.png": ("crow", "train", "two"),
        "b/000.png": ("crow", "test", ""),
        "b/001.png": ("jay", "test", "one"),
    }


def test_a_table_of_excel_and_windows_is_read(table):
    """A mark at its beginning, semicolons, capitals, blanks and backslashes."""
    write_table(
        table, "File; Label;notes", "a\\000.png; jay ;x", "a\\001.png;crow;", "b\\000.png;crow", "b\\001.png;jay",
        encoding="utf-8-sig",
    )  # fmt: skip
    fetch.main()
    assert [row[0] for _, row in sorted(of_prepare().items())] == ["jay", "crow", "crow", "jay"]


def test_rows_without_file_and_files_without_row_are_listed(table):
    """And rows without a label; what is no image needs no row."""
    (table / "notes.txt").write_text("-")
    write_table(table, "file,label", "a/000.png,jay", "a/001.png,", "b/000.png,crow", "c/9.png,crow")
    assert fetched() == ["a/000.png", "b/000.png", "bad_files.csv", "labels.csv"]
    assert bad_files() == {
        "a/001.png": ("", "line 3 of labels.csv gives it no label"),
        "c/9.png": ("crow", "line 5 of labels.csv names it, but there is no such file"),
        "b/001.png": ("", f"labels.csv {NO_ROW}"),
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
    assert fetched() == ["a/000.png", "a/001.png", "labels.csv"]
    assert [row[0] for _, row in sorted(of_prepare().items())] == ["jay", "crow"]


def test_an_image_without_a_row_takes_no_other_ones_place(table):
    """Of two files of one name and class, only the one without a row is a bad file."""
    set_params(table.parent, prepare__image_size=32, prepare__on_bad_image="skip")
    write_images(table, {"crow": 6, ".": 6})
    write_images(table, {"jay": 6}, (20, 31))
    rows = [f"{number:03}.png,crow" for number in range(6)] + [f"jay/{number:03}.png,jay" for number in range(6)]
    write_table(table, "file,label", *rows)
    without = [*(f"crow/{number:03}.png" for number in range(6)), "a/000.png", "a/001.png", "b/000.png", "b/001.png"]
    fetch.main()
    prepare.main()
    paths = [row.path for split in ("original", "validation", "test") for row in read_rows(f"data/{split}")]
    numbers = [f"{number:03}.png" for number in range(6)]
    assert sorted(paths) == [*numbers, *(f"jay/{name}" for name in numbers)]
    skipped = {row["file"]: row["reason"] for row in read_csv("data/skipped.csv")}
    assert skipped == {f"data/raw/{file}": f"labels.csv {NO_ROW}" for file in without}


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
        "line 8: has no split, and others have: training, validation or test",
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
    fetch.main()
    assert sorted((name[0], row[0]) for name, row in of_prepare().items()) == [
        ("a", "crow"), ("a", "jay"), ("b", "crow"), ("b", "jay")
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
    fetch.main()
    assert [row[0] for _, row in sorted(of_prepare().items())] == ["jay", "crow", "crow", "jay"]


def test_a_table_that_is_missing_or_in_another_encoding_is_named(table):
    """With the key, or with what to do."""
    assert refused() == ("params.yaml: dataset.folder.labels = labels.csv, but photos has no such file",)
    Path("photos/label.csv").write_text("file,label\n", encoding="utf-8")
    assert refused()[0].endswith("but photos has no such file; did you mean label.csv?")
    write_table(table, "file,label", "a/000.png,blåmes", encoding="latin-1")
    assert refused() == ("photos/labels.csv: not UTF-8; save it as CSV UTF-8",)
    set_params(table.parent, dataset__folder__labels="../labels.csv")
    (line,) = refused()
    assert "dataset.folder.labels = '../labels.csv' is not allowed: must be none, or a file within" in line
