"""What a person types first and last: `make` in a folder without history, `make clean`."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers.projects import ENVIRONMENT, ROOT, copy_project, run
from tests.conftest import write_images

# as if all had been installed: the programs are those of these tests
MAKE = ("make", "-o", "install", "-o", ".venv/installed")


@pytest.fixture
def project(tmp_path) -> Path:
    """The project as a zip brings it: its files, and no history."""
    folder = tmp_path / "project"
    copy_project(folder)
    shutil.rmtree(folder / ".git")
    return folder


def test_a_folder_without_history_becomes_a_repository(project):
    """DVC works in it then, and a line says what happened; in a repository nothing is said or done."""
    assert "as DVC needs it" in run(*MAKE, "repository", folder=project)
    assert "fetch" in run("dvc", "status", folder=project)
    assert run(*MAKE, "repository", folder=project) == ""


def test_a_project_within_a_repository_stays_a_part_of_it(project):
    """Whoever keeps it in a folder of their own repository does so with intent."""
    run("git", "init", "-q", folder=project.parent)
    assert run(*MAKE, "repository", folder=project) == ""
    assert not (project / ".git").exists()
    assert "fetch" in run("dvc", "status", folder=project)


def test_what_git_says_of_another_users_repository_is_shown(project):
    """In a container or under sudo: no second repository is made, and the remedy is Git's own."""
    (project / "bin").mkdir()
    (project / "bin/git").write_text(
        "#!/bin/sh\necho fatal: detected dubious ownership >&2\nexit 128\n", encoding="utf-8"
    )
    (project / "bin/git").chmod(0o755)
    environment = ENVIRONMENT | {"PATH": f"{project / 'bin'}:{ENVIRONMENT['PATH']}"}
    words = (*MAKE, "VENV=none", "repository")
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "fatal: detected dubious ownership" in done.stdout
    assert not (project / ".git").exists()


NAMES = {each.pw_uid: each.pw_name for each in pwd.getpwall()}


@pytest.mark.parametrize(
    ("known", "name"),
    [({}, NAMES.get(os.getuid(), str(os.getuid()))), ({"USER": "ann"}, "ann"), ({"LOGNAME": "bo"}, "bo")],
)
def test_a_user_without_a_name_gets_one(known, name):
    """As under `docker run -u 1234`, where DVC fails for want of it."""
    environment = {key: value for key, value in ENVIRONMENT.items() if key not in ("USER", "LOGNAME")} | known
    words = ("make", "--eval", "said: ; @echo $$USER", "said")
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{name}\n"


def test_without_git_it_is_said(project):
    """In words, not as a command that is not found."""
    words = [shutil.which("make"), "repository"]
    environment = ENVIRONMENT | {"PATH": str(project)}
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "error: git is needed, for DVC works with it; install it" in done.stdout


def test_clean_removes_what_the_study_made_and_nothing_else(project):
    """Outputs, checkpoints, what was not finished; not pictures, weights, downloads, nor what somebody put there."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    outs = {out.split("/")[1] for stage in stages for out in stage["outs"] if str(out).startswith("data/")}
    for name in {*outs, "checkpoints", "raw.unfinished", "downloads", "mine", "pictures/jay", "pretrained/own_cnn"}:
        (project / "data" / name).mkdir(parents=True, exist_ok=True)
        (project / "data" / name / "file").write_bytes(b"1")
    (project / ".dvc/cache").mkdir()
    run("make", "clean", folder=project)
    left = {path.name for path in (project / "data").iterdir()}
    assert left == {".gitignore", "downloads", "mine", "pictures", "pretrained"}
    assert (project / "data/pictures/jay/file").exists()
    assert not (project / ".dvc/cache").exists()


def test_pictures_given_to_dvc_survive_a_clean(project):
    """`make images` gives them; other versions of them are in DVC's cache alone, which therefore stays."""
    write_images(project / "data/pictures", {"crow": 2, "jay": 2})
    run(*MAKE, "repository", "images", folder=project)
    assert run("git", "diff", "--cached", "--name-only", folder=project).splitlines()[-1] == "data/pictures.dvc"
    shutil.rmtree(project / "data/pictures")
    assert "kept .dvc/cache for data/pictures.dvc" in run("make", "clean", folder=project)
    run("dvc", "checkout", "data/pictures.dvc", folder=project)
    files = [path.relative_to(project / "data/pictures") for path in (project / "data/pictures").rglob("*.png")]
    assert sorted(map(str, files)) == ["crow/000.png", "crow/001.png", "jay/000.png", "jay/001.png"]


def test_without_pictures_there_is_nothing_to_give(project):
    """Where photographs lie in another folder, `make images` says so and leaves the note, and Git, as they are."""
    run(*MAKE, "repository", folder=project)
    before = run("git", "status", "--short", folder=project)
    refused = subprocess.run([*MAKE, "repository", "images"], cwd=project, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "error: data/pictures has no images to give to DVC; those of another folder stay" in refused.stderr
    assert (project / "data/pictures/README.md").exists()
    assert run("git", "status", "--short", folder=project) == before


def test_make_ends_with_the_answer_and_the_table_of_results():
    """And none of the report's other tables."""
    lines = [line.strip().removeprefix("@echo && ") for line in (ROOT / "Makefile").read_text("utf-8").splitlines()]
    answer, table = (run("sh", "-c", line.replace("$$", "$"), folder=ROOT) for line in lines if line.startswith("sed "))
    assert answer.startswith("The ")
    assert "*" not in answer
    report = (ROOT / "metrics/report.md").read_text("utf-8")
    results = report.partition("## Results\n\n")[2].partition("\n\n")[0]
    assert table == f"{results}\n"
