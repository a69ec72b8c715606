"""`make pull`: a stranger's remote writes nothing but what the study's stages write."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.projects import run
from stages.commands.pull import is_below, main
from stages.runtime.errors import UserError

PIPELINE = """
stages:
  fetch:
    cmd: mkdir -p data/raw/crow && echo bird > data/raw/crow/1.jpg && echo table > data/skipped.csv
    deps: [seed.txt]
    outs: [data/raw, data/skipped.csv]
"""
CONFIG = "[core]\n    remote = shared\n['remote \"shared\"']\n    url = {}\n    verify = true\n"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory) -> Path:
    """Hold a study (study/) whose results are in a remote (remote/)."""
    folder = tmp_path_factory.mktemp("pushed")
    study = folder / "study"
    study.mkdir()
    (study / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (study / "seed.txt").write_text("1", encoding="utf-8")
    run("git", "init", "-q", folder=study)
    run("dvc", "init", "-q", folder=study)
    (study / ".dvc/config").write_text(CONFIG.format("../../remote"), encoding="utf-8")
    run("dvc", "repro", "-q", folder=study)
    run("dvc", "push", "-q", "--run-cache", folder=study)
    shutil.rmtree(study / ".dvc/cache")
    shutil.rmtree(study / "data")
    return folder


@pytest.fixture
def study(pushed, tmp_path, monkeypatch) -> Path:
    """Work in a colleague's copy of it: the remote, and the study without results."""
    folder = shutil.copytree(pushed, tmp_path / "copy") / "study"
    monkeypatch.chdir(folder)
    return folder


def refused(study: Path, *words: str) -> str:
    """Return the lines with which a pull is refused, after which nothing has been put in place."""
    with pytest.raises(UserError) as raised:
        main(*words)
    assert files(study) == []
    return str(raised.value)


def remote_list(study: Path) -> Path:
    (path,) = (study.parent / "remote/files/md5").glob("*/*.dir")
    return path


def rewrite(path: Path, entries: Any) -> None:
    path.chmod(0o644)
    path.write_text(json.dumps(entries), encoding="utf-8")


def files(study: Path) -> list[str]:
    found = (path for path in (study / "data").rglob("*") if path.is_file() and path.name != ".gitignore")
    return sorted(path.relative_to(study).as_posix() for path in found)


@pytest.mark.parametrize("words", [(), ("run-cache",)])
def test_results_are_brought_back(study, words):
    """All of them, with or without what stages have ever computed."""
    main(*words)
    assert files(study) == ["data/raw/crow/1.jpg", "data/skipped.csv"]


@pytest.mark.parametrize("pattern", ["*.dir", "*[0-9a-f]"])
def test_what_the_remote_lacks_is_named(study, pattern):
    """As after a push while the study ran: a list of files, or a file; and who pushed is told what to do."""
    next((study.parent / "remote/files/md5").glob(f"*/{pattern}")).unlink()
    said = refused(study)
    assert re.match(r"the remote did not send (data/raw|data/skipped\.csv); nothing was put in place", said)
    assert re.search(r"asked was \S+ \S*remote.*, as .dvc/config says here: is that where results were pushed to", said)
    assert "if it has them not, who pushed has pushed before `make` had ended" in said


@pytest.mark.parametrize("name", ["../../run", "/run", "C:\\run", "..\\run", "a/../../run", "crow//1.jpg"])
def test_a_list_that_would_write_elsewhere_is_refused(study, name):
    """Though its digest is what dvc.lock says: a branch and a remote of one hand."""
    path = remote_list(study)
    entries = json.loads(path.read_text(encoding="utf-8"))
    rewrite(path, [entries[0] | {"relpath": name}])
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    lock = (study / "dvc.lock").read_text(encoding="utf-8")
    (study / "dvc.lock").write_text(lock.replace(f"{path.parent.name}{path.stem}", digest), encoding="utf-8")
    target = path.parents[1] / digest[:2] / f"{digest[2:]}.dir"
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    assert f"{name!r} would be written elsewhere" in refused(study)
    assert not list(study.parent.rglob("run"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"relpath": "../../stages/run"}, "its content is not what its name says"),
        ({"md5": "ab/../../../../run"}, "its content is not what its name says"),
    ],
)
def test_a_list_that_is_not_what_its_name_says_is_refused(study, change, words):
    """Before DVC follows it: nothing else is fetched then."""
    path = remote_list(study)
    rewrite(path, [entry | change for entry in json.loads(path.read_text(encoding="utf-8"))])
    assert words in refused(study)
    assert len([path for path in (study / ".dvc/cache").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    "out",
    [
        {"path": "../evil"},
        {"path": "stages/run"},
        {"md5": "../../evil"},
        {"path": "data/../dvc.yaml"},
        {"hash": "md5-dos2unix"},
        {"files": [{"relpath": "../../run"}]},
    ],
)
def test_an_entry_of_the_run_cache_that_would_write_elsewhere_is_refused(study, out):
    """Its outputs lie in data/ and metrics/, and are named by digests."""
    (path,) = (study.parent / "remote/runs").glob("*/*/*")
    entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    next(each for each in entry["outs"] if each["path"] == "data/raw").update(out)
    path.write_text(yaml.safe_dump(entry), encoding="utf-8")
    assert re.search("is no output of a stage|is no digest|raw has files", refused(study, "run-cache"))


def test_names_that_stay_below_a_folder_do():
    """Accents, spaces and dots in a name are no harm."""
    assert all(map(is_below, ["a", "crow/1.jpg", "Mönch & Co/..x", "a b/c:d"]))
    assert not any(map(is_below, ["", "/a", "a/", "./a", "../a", "a\\..\\b", "c:/a", "a\0b"]))
