"""Files and folders that exist are complete, and the same values give the same bytes."""

import errno

import pytest

from stages.runtime.files import (
    UNFINISHED,
    atomic_file,
    atomic_folder,
    files_below,
    read_csv,
    read_json,
    write_csv,
    write_json,
    write_text,
)
from tests.conftest import folders_1500_deep


class Killed(BaseException):
    """What no `except Exception` catches, like Ctrl-C."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_takes_its_name_when_it_is_complete(tmp_path):
    """While a folder is filled nothing has its name; then it holds all that was written."""
    out = tmp_path / "data" / "out"
    with atomic_folder(out) as unfinished:
        (unfinished / "a").write_text("1")
        assert not out.exists()
        assert names(out.parent) == [f"out{UNFINISHED}"]
    assert names(out.parent) == ["out"]
    assert names(out) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Killed])
def test_a_folder_that_fails_leaves_what_was_there(error, tmp_path):
    """A failure or Ctrl-C in the middle leaves the old folder untouched and nothing of the new one."""
    out = tmp_path / "out"
    with atomic_folder(out) as unfinished:
        (unfinished / "old").touch()
    with pytest.raises(error), atomic_folder(out) as unfinished:  # noqa: PT012  # the block is what is tested
        (unfinished / "new").touch()
        assert names(out) == ["old"]
        raise error
    assert names(tmp_path) == ["out"]
    assert names(out) == ["old"]


def test_a_new_folder_replaces_the_old_one_as_a_whole(tmp_path):
    """No file of an earlier run stays among the new ones."""
    for name in ("old", "new"):
        with atomic_folder(tmp_path / "out") as unfinished:
            (unfinished / name).touch()
    assert names(tmp_path / "out") == ["new"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    """A run that was killed leaves an unfinished folder; the next run starts with an empty one."""
    left = tmp_path / f"out{UNFINISHED}"
    (left / "deep").mkdir(parents=True)
    (left / "deep" / "half").touch()
    with atomic_folder(tmp_path / "out") as unfinished:
        assert names(unfinished) == []
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == []


def test_a_file_takes_its_name_when_it_is_complete(tmp_path):
    """While a file is written its name shows the old content; then the new one, and nothing else is left."""
    out = tmp_path / "deep" / "out.bin"
    for content in (b"old", b"new"):
        with atomic_file(out) as unfinished:
            unfinished.write_bytes(content)
            assert not out.exists() or out.read_bytes() == b"old"
        assert out.read_bytes() == content
    assert names(out.parent) == ["out.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Killed])
def test_a_file_that_fails_leaves_what_was_there(error, tmp_path):
    """A failure or Ctrl-C in the middle leaves the old file untouched and nothing of the new one."""
    out = tmp_path / "out.txt"
    write_text(out, "old")
    with pytest.raises(error), atomic_file(out) as unfinished:  # noqa: PT012  # the block is what is tested
        unfinished.write_text("new")
        raise error
    assert names(tmp_path) == ["out.txt"]
    assert out.read_text() == "old"


def test_json_has_the_same_bytes_in_any_order(tmp_path):
    """Git shows only what changed: keys are sorted, an entry a line, letters as they are."""
    write_json(tmp_path / "a.json", {"b": [1, 0.1], "a": {"d": None, "c": "blåmes"}})
    write_json(tmp_path / "b.json", {"a": {"c": "blåmes", "d": None}, "b": [1, 0.1]})
    expected = '{\n  "a": {\n    "c": "blåmes",\n    "d": null\n  },\n  "b": [\n    1,\n    0.1\n  ]\n}\n'
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes() == expected.encode()
    assert read_json(tmp_path / "a.json") == {"a": {"c": "blåmes", "d": None}, "b": [1, 0.1]}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_no_number_that_others_cannot_read(value, tmp_path):
    """NaN is no JSON: writing it fails and leaves no file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"accuracy": value})
    assert names(tmp_path) == []


def test_text_keeps_its_line_ends(tmp_path):
    """A text has the same bytes on every system."""
    write_text(tmp_path / "a.txt", "é\nb\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\nb\n"


def test_csv_has_a_header_and_empty_cells(tmp_path):
    """A table starts with the names of its columns; a value that is absent stays empty, one with a comma is quoted."""
    write_csv(tmp_path / "a.csv", ["file", "reason"], [{"file": "a, b.jpg", "reason": "é"}, {"file": "c.jpg"}])
    assert (tmp_path / "a.csv").read_bytes() == 'file,reason\n"a, b.jpg",é\nc.jpg,\n'.encode()


def test_csv_keeps_what_would_end_a_line(tmp_path):
    """A carriage return in a file's name, as in macOS's Icon files, splits no row."""
    rows = [{"file": "crow/Icon\r,jay", "reason": "x"}, {"file": "b", "reason": "two\nlines"}]
    write_csv(tmp_path / "a.csv", ["file", "reason"], rows)
    assert read_csv(tmp_path / "a.csv") == rows


def test_csv_refuses_a_column_without_a_name(tmp_path):
    """A value for no column is a mistake, not dropped in silence; no file is left."""
    with pytest.raises(ValueError, match="typo"):
        write_csv(tmp_path / "a.csv", ["file"], [{"file": "a", "typo": 1}])
    assert names(tmp_path) == []


@pytest.mark.parametrize("finished", [atomic_file, atomic_folder])
def test_a_failed_write_names_what_was_written(finished, tmp_path):
    """The system's error of a full disk names no file; the one that a person sees does."""
    with pytest.raises(OSError, match="No space left") as raised, finished(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(tmp_path / "out")


def test_an_error_that_names_its_file_keeps_it(tmp_path):
    """What cannot be read while a file is written is not blamed on that file."""
    with pytest.raises(FileNotFoundError) as raised, atomic_file(tmp_path / "out"):
        (tmp_path / "absent").read_bytes()
    assert raised.value.filename == str(tmp_path / "absent")


def test_files_are_found_however_deep_they_lie(tmp_path):
    """In the order of their names, those that links lead to as well, but for folders, which might lead round."""
    for name in ("b/two", "a/one", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b/link").symlink_to("two")
    (tmp_path / "b/round").symlink_to(tmp_path)
    with folders_1500_deep(tmp_path):
        found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert found == ["a/one", "b/link", "b/two", "c", "d/" * 1500 + "deep.png"]
