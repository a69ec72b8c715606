"""What one person computed, another one has: exactly that, wherever it is stored, and nothing else."""

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from helpers.projects import ENVIRONMENT, ROOT, run, set_params, write_weights
from tests.study import commit, new_study
from tests.trust.servers import STORES, Store, gate

WEIGHTS = "data/pretrained/own_cnn/random.safetensors"
RUNS = ("own_cnn-default-original-1", "resnet50-default-original-1")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A copy of the project with a tiny study of two runs, one of a frozen backbone; computed and committed."""
    folder = new_study(
        tmp_path_factory.mktemp("sharing") / "study", study__hyperparameters=["default"], study__data=["original"]
    )
    set_params(folder, networks__own_cnn=write_weights(folder))
    run("dvc", "repro", folder=folder)
    commit(folder)
    return folder


@pytest.fixture
def desk(tmp_path) -> Iterator[Path]:
    """A folder for clones of the study, which are large; removed after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(params=STORES)
def store(request, tmp_path_factory) -> Iterator[Store]:
    """Each kind of place for shared results, empty."""
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.fixture
def folder_store(tmp_path_factory) -> Iterator[Store]:
    """An empty folder for shared results."""
    with STORES["folder"](tmp_path_factory.mktemp("folder")) as one:
        yield one


def test_a_colleague_who_pulls_computes_nothing(study, store, desk):
    """After git clone and dvc pull, all files have the bytes they had, `dvc repro` runs no stage and changes none."""
    author = shared(study, store, desk / "author")
    run("dvc", "push", folder=author)
    colleague = clone(author, store, desk / "colleague")
    run("dvc", "pull", folder=colleague)
    assert repro(colleague) == ([], [])
    assert git("status", "--porcelain", folder=colleague) == ""
    assert digests(colleague / "data") == digests(study / "data")
    for images in ("original", "validation", "test"):
        assert pq.read_metadata(colleague / f"data/features/own_cnn/{images}/features.parquet").num_rows > 0


def test_what_git_ignores_may_be_removed_but_for_the_cache(study, desk):
    """Nothing that results follow from lies elsewhere: images of one's own come back, and all else is as it was."""
    folder = shutil.copytree(study, desk / "study", symlinks=True)
    (folder / ".dvc/cache").rename(desk / "cache")
    git("clean", "-qfdX", folder=folder)
    assert not (folder / ".dvc/tmp").exists()
    (desk / "cache").rename(folder / ".dvc/cache")
    run("dvc", "checkout", "-q", f"{WEIGHTS}.dvc", folder=folder)
    ran, _ = repro(folder)
    assert not {stage for stage in ran if stage.startswith(("tune", "train", "embed"))}
    assert git("status", "--porcelain", folder=folder) == ""
    assert digests(folder / "data") == digests(study / "data")


def test_the_run_cache_stands_in_for_a_lock_that_was_not_committed(study, store, desk):
    """`dvc push --run-cache` and `dvc fetch --run-cache` restore every tuning and training, with the same bytes."""
    author = shared(study, store, desk / "author")
    run("dvc", "push", "--run-cache", folder=author)
    colleague = clone(author, store, desk / "colleague")
    (colleague / "dvc.lock").unlink()
    run("dvc", "fetch", "--run-cache", folder=colleague)
    ran, restored = repro(colleague, "--pull", "tune", "train")
    assert ran == []
    of_networks = [(name, f"{name}-original", f"{name}-validation") for name in ("own_cnn", "resnet50")]
    expected = [f"{stage}@{name}" for name, *_ in of_networks for stage in ("weights", "tune")]
    expected += [f"embed@{name}" for _, *images in of_networks for name in images]
    assert set(restored) == {"fetch", "prepare", "configure", *expected, *(f"train@{name}" for name in RUNS)}
    assert digests(colleague / "data/trained") == digests(study / "data/trained")
    assert digests(colleague / "data/hyperparameters") == digests(study / "data/hyperparameters")


def test_a_clean_clone_runs_nothing_though_it_has_no_data(study, folder_store, desk):
    """`dvc repro --pull --allow-missing` believes the lock: nothing runs, and no result is downloaded."""
    author = shared(study, folder_store, desk / "author")
    run("dvc", "push", folder=author)
    colleague = clone(author, folder_store, desk / "colleague")
    run("dvc", "pull", f"{WEIGHTS}.dvc", folder=colleague)
    own = stored(colleague)
    assert repro(colleague, "--pull", "--allow-missing") == ([], [])
    assert stored(colleague) == own


def test_a_colleague_needs_no_photographs_that_nobody_shared(study, folder_store, desk):
    """All is there that was made of them, so DVC runs nothing; but a network of another setting runs."""
    author = shared(study, folder_store, desk / "author")
    run("dvc", "push", folder=author)
    colleague = clone(author, folder_store, desk / "colleague")
    run("python", "-m", "stages.commands.pull", folder=colleague)
    shutil.rmtree(colleague / "mine")
    options = run("python", "-m", "stages.commands.check", folder=colleague).split()
    assert repro(colleague, *options) == ([], [])
    assert digests(colleague / "data") == digests(study / "data")
    set_params(colleague, networks__resnet50__learning_rate=0.002)
    ran, _ = repro(colleague, *options)
    assert {"configure", "tune@resnet50", f"train@{RUNS[1]}", "report"} <= set(ran)
    assert "fetch" not in ran


def test_after_an_edit_only_what_it_needs_is_pulled(study, folder_store, desk):
    """Another learning rate of ResNet50 runs its stages on what they read; no other network's weights come."""
    author = shared(study, folder_store, desk / "author")
    run("dvc", "push", folder=author)
    colleague = clone(author, folder_store, desk / "colleague")
    run("dvc", "pull", f"{WEIGHTS}.dvc", folder=colleague)
    set_params(colleague, networks__resnet50__learning_rate=0.002)
    ran, restored = repro(colleague, "--pull", "--allow-missing", f"evaluate@{RUNS[1]}")
    assert ran == ["configure", "tune@resnet50", f"train@{RUNS[1]}", f"evaluate@{RUNS[1]}"]
    assert restored == []
    here = stored(colleague)
    away = {name for name, digest in outs(author).items() if digest not in here}
    assert {"data/raw", "data/augmented", "data/weights/own_cnn", f"data/trained/{RUNS[0]}"} <= away
    assert not away & {"data/original", "data/validation", "data/test", "data/weights/resnet50"}


def test_a_tampered_file_is_refused(store, desk):
    """One changed byte in a stored file, alone or in a folder: `dvc pull` fails and leaves nothing of it."""
    author = shared(belongings(desk / "study"), store, desk / "author")
    run("dvc", "push", folder=author)
    for number, (name, good) in enumerate(files(author).items()):
        store.overwrite(name, tampered(good))
        colleague = clone(author, store, desk / str(number))
        assert attempt("dvc", "pull", folder=colleague).returncode != 0
        assert tampered(good) not in contents(colleague)
        store.overwrite(name, good)
    run("dvc", "pull", folder=clone(author, store, desk / "last"))


def test_without_verify_it_would_be_taken(folder_store, desk):
    """Which is why .dvc/config says `verify: true`, and why the documented commands change its remote and add none."""
    author = shared(belongings(desk / "study"), folder_store, desk / "author")
    run("dvc", "push", folder=author)
    name, good = next(iter(files(author).items()))
    folder_store.overwrite(name, tampered(good))
    colleague = clone(author, folder_store, desk / "colleague")
    configure(colleague, {"verify": "false"}, "config.local")
    run("dvc", "pull", folder=colleague)
    assert tampered(good) in contents(colleague / "belongings")


def test_a_tampered_list_of_a_folder_is_found_out(study, folder_store, desk):
    """DVC does not verify such lists when it pulls them; `dvc repro` then sees other files and runs their stage."""
    author = shared(study, folder_store, desk / "author")
    run("dvc", "push", folder=author)
    name = hashed(outs(author)["data/raw"])
    listed = json.loads((study / ".dvc/cache" / name).read_bytes())
    listed[0]["md5"], listed[-1]["md5"] = listed[-1]["md5"], listed[0]["md5"]  # a crow is now a rook
    folder_store.overwrite(name, json.dumps(listed).encode())
    colleague = clone(author, folder_store, desk / "colleague")
    run("dvc", "pull", folder=colleague)
    assert digests(colleague / "data/raw") != digests(study / "data/raw")
    assert repro(colleague) == (["fetch"], [])
    assert digests(colleague / "data") == digests(study / "data")


def test_an_interrupted_push_leaves_nothing_that_pulls_wrong(store, desk):
    """Killed at some bytes, a push leaves whole files or none; the next push completes it."""
    size = 400_000 if store.port else 32_000_000  # a folder is faster than a line
    author = shared(belongings(desk / "study", size), store, desk / "author")
    total = sum(map(len, files(author).values()))
    interrupted = 0
    for number, share in enumerate((0.1, 0.3, 0.5)):  # together less than all: each push has something left to do
        interrupted += killed_push(author, store, int(share * total))
        colleague = clone(author, store, desk / str(number))
        pulled = attempt("dvc", "pull", folder=colleague)
        whole = digests(colleague / "belongings")
        assert whole.items() <= digests(desk / "study/belongings").items()
        assert pulled.returncode != 0 or len(whole) == 3
    assert interrupted == 3 if store.port else interrupted > 0
    run("dvc", "push", folder=author)
    colleague = clone(author, store, desk / "last")
    run("dvc", "pull", folder=colleague)
    assert digests(colleague / "belongings") == digests(desk / "study/belongings")


def test_no_secret_reaches_git(store, desk):
    """After the documented commands, keys and passwords are in .dvc/config.local only, which Git does not see."""
    author = belongings(desk / "study")
    for name, value in store.settings.items():
        run("dvc", "remote", "modify", "shared", name, value, folder=author)
    for name, value in store.personal.items():
        run("dvc", "remote", "modify", "--local", "shared", name, value, folder=author)
    commit(author)
    tracked = git("ls-files", folder=author).splitlines()
    assert ".dvc/config" in tracked
    assert ".dvc/config.local" not in tracked
    for name, value in store.personal.items():
        assert f"{name} = {value}" in (author / ".dvc/config.local").read_text(encoding="utf-8")
        assert not [path for path in tracked if value.encode() in (author / path).read_bytes()]


def test_two_clones_on_one_machine_share_as_they_come(desk, monkeypatch):
    """With the default remote, wherever the clones lie: nothing need be set up to try it out."""
    monkeypatch.setitem(ENVIRONMENT, "HOME", str(desk / "home"))
    (desk / "home").mkdir()
    author = belongings(desk / "study")
    colleague = desk / "another/place/colleague"
    git("clone", "-q", str(author), str(colleague), folder=desk)
    run("dvc", "push", folder=author)
    run("dvc", "pull", folder=colleague)
    assert digests(colleague / "belongings") == digests(author / "belongings")


@pytest.mark.parametrize("store", ["ssh", "webdav"], indirect=True)  # moto's S3 lets anyone in
def test_without_the_secret_nothing_is_had(store, desk):
    """A server's answer to a colleague without key or password is an error, not an empty success."""
    author = shared(belongings(desk / "study"), store, desk / "author")
    run("dvc", "push", folder=author)
    stranger = clone(author, store._replace(personal={}), desk / "stranger")
    assert attempt("dvc", "pull", folder=stranger).returncode != 0
    assert stored(stranger) == set()


def attempt(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    return subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def git(*words: str, folder: Path) -> str:
    return run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words, folder=folder)


def repro(folder: Path, *words: str) -> tuple[list[str], list[str]]:
    """Run `dvc repro`; return the stages that ran, and those that the run cache restored."""
    printed = run("dvc", "repro", *words, folder=folder)
    return re.findall(r"Running stage '(.+)'", printed), re.findall(r"Stage '(.+)' is cached", printed)


def configure(folder: Path, settings: Mapping[str, str], file: str) -> None:
    """Write what `dvc remote modify shared` writes, in no time; test_no_secret_reaches_git runs the command."""
    config = ConfigParser(interpolation=None)
    config.read(folder / ".dvc" / file, encoding="utf-8")
    config.read_dict({"'remote \"shared\"'": settings})
    with (folder / ".dvc" / file).open("w", encoding="utf-8") as opened:
        config.write(opened)


def shared(study: Path, store: Store, folder: Path) -> Path:
    """Return a clone that has all of the study's results in its cache, and whose commits name the store."""
    git("clone", "-q", str(study), str(folder), folder=study)
    run("dvc", "cache", "dir", "--local", str(study / ".dvc/cache"), folder=folder)
    configure(folder, store.settings, "config")
    commit(folder)
    configure(folder, store.personal, "config.local")
    return folder


def clone(author: Path, store: Store, folder: Path) -> Path:
    """Return what a colleague has after git clone, with a key or password of their own."""
    git("clone", "-q", str(author), str(folder), folder=author)
    configure(folder, store.personal, "config.local")
    return folder


def belongings(folder: Path, size: int = 1000) -> Path:
    """Make a project with this one's DVC configuration and three random files, two of them in a folder."""
    (folder / "belongings/many").mkdir(parents=True)
    git("init", "-q", "-b", "main", folder=folder)
    run("dvc", "init", "-q", folder=folder)
    shutil.copyfile(ROOT / ".dvc/config", folder / ".dvc/config")
    for number in range(3):
        path = folder / f"belongings/{'many/' if number else ''}{number}.bin"
        path.write_bytes(np.random.default_rng(number).bytes(size))
    run("dvc", "add", "-q", "belongings/0.bin", "belongings/many", folder=folder)
    commit(folder)
    return folder


def killed_push(author: Path, store: Store, after: int) -> bool:
    """Kill `dvc push` after so many bytes; return whether it was still at it."""
    if store.port:
        with gate(store.port, after) as line:
            configure(author, store.behind(line), "config.local")
            pushing = subprocess.Popen(["dvc", "push", "-q"], cwd=author, env=ENVIRONMENT)
            while pushing.poll() is None and not line.exhausted.wait(0.05):
                pass
            pushing.kill()
            pushing.wait()
        configure(author, store.settings, "config.local")
    else:
        folder = Path(store.settings["url"])
        before = bytes_in(folder)
        pushing = subprocess.Popen(["dvc", "push", "-q"], cwd=author, env=ENVIRONMENT)
        while bytes_in(folder) - before < after and pushing.poll() is None:
            time.sleep(0.0005)
        pushing.kill()
        pushing.wait()
    return pushing.returncode < 0


def bytes_in(folder: Path) -> int:
    """Sum the sizes of files, some of which may vanish meanwhile."""
    sizes = 0
    for path in folder.rglob("*"):
        try:
            sizes += path.stat().st_size * path.is_file()
        except FileNotFoundError:
            continue
    return sizes


def digests(folder: Path) -> dict[str, str]:
    """Return the MD5 of each file that DVC stores in a folder; what trainings leave for later ones stays here."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".gitignore", "README.md"))
    files = (path for path in files if "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}  # noqa: S324


def outs(folder: Path) -> dict[str, str]:
    """Return the hash of each out that DVC caches, from dvc.lock."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"].values()
    found = {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}
    return {path: md5 for path, md5 in found.items() if path.startswith("data/")}


def tampered(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def files(author: Path) -> dict[str, bytes]:
    """Return what is pushed of a project, lists of folders apart, by its name in the store."""
    cache = Path(run("dvc", "cache", "dir", folder=author).strip())
    paths = (path for path in sorted(cache.glob("files/md5/*/*")) if path.suffix != ".dir")
    return {str(path.relative_to(cache)): path.read_bytes() for path in paths}


def hashed(md5: str) -> str:
    """Return the name under which DVC stores what has this hash."""
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def stored(folder: Path) -> set[str]:
    """Return the hashes of what is in a clone's own cache."""
    return {path.parent.name + path.name for path in (folder / ".dvc/cache/files/md5").glob("*/*")}


def contents(folder: Path) -> set[bytes]:
    """Return the bytes of every file in a clone, its cache included."""
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
