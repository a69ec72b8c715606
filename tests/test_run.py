"""`stages/run`: a stage runs in the Python that DVC runs in, however DVC was started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.projects import ENVIRONMENT, ROOT, run

STAGE = """
import pathlib, sys
pathlib.Path("ran").write_text("\\n".join([sys.prefix, *sys.argv[1:]]))
"""
PIPELINE = """
stages:
  hello:
    cmd: /bin/sh stages/run hello ann 'two words'
    outs: [ran]
"""


@pytest.fixture
def study(tmp_path) -> Path:
    """A pipeline of one stage, which writes down the environment it runs in; and another `python` in elsewhere/."""
    folder = tmp_path / "a study"
    (folder / "stages").mkdir(parents=True)
    shutil.copyfile(ROOT / "stages/run", folder / "stages/run")
    (folder / "stages/hello.py").write_text(STAGE, encoding="utf-8")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "sub/folder").mkdir(parents=True)
    (folder / "elsewhere").mkdir()
    for name in ("python", "python3"):
        (folder / "elsewhere" / name).write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
        (folder / "elsewhere" / name).chmod(0o755)
    run("git", "init", "-q", folder=folder)
    run("dvc", "init", "-q", folder=folder)
    return folder


def installed(name: str) -> str:
    """Return the path of a program beside the Python of these tests."""
    return str(Path(sys.prefix) / "bin" / name)


def repro(study: Path, *words: str, folder: str = ".", **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc repro` by these words from a folder of the study, with changes of the environment."""
    environment = ENVIRONMENT | {"SHELL": "/bin/sh"} | changes
    words = (*words, "repro", "-P")  # all pipelines: in a sub-folder plain `dvc repro` looks for a dvc.yaml there
    return subprocess.run(words, cwd=study / folder, env=environment, capture_output=True, text=True, check=False)


def ran_in(study: Path) -> list[str]:
    return (study / "ran").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", ["", "elsewhere", "/usr/bin:/bin"])
@pytest.mark.parametrize("folder", [".", "sub/folder"])
def test_a_stage_runs_in_the_python_of_dvc_whatever_path_says(study, path, folder):
    """As editors and cron start it: no PATH, one with another Python, one without ours; from any folder."""
    path = str(study / path) if path == "elsewhere" else path
    done = repro(study, installed("dvc"), folder=folder, PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran_in(study) == [sys.prefix, "ann", "two words"]


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh", ""])
def test_whatever_the_shell(study, shell):
    """DVC starts a stage in the user's own shell, which may stay in between or not."""
    if shell and not Path(shell).exists():
        pytest.skip(f"{shell} is not installed")
    done = repro(study, installed("dvc"), PATH="", SHELL=shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran_in(study)[0] == sys.prefix


def test_python_m_dvc_by_a_relative_path(study):
    """`../.venv/bin/python -m dvc repro -P`, as one types it in a sub-folder."""
    relative = os.path.relpath(installed("python"), study / "sub")
    done = repro(study, relative, "-m", "dvc", folder="sub", PATH="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran_in(study)[0] == sys.prefix


def test_the_python_that_path_names(study):
    """`python -m dvc repro` in an activated environment."""
    done = repro(study, "/usr/bin/env", "python", "-m", "dvc", PATH=f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran_in(study)[0] == sys.prefix


def test_the_lock_names_no_place_of_this_machine(study):
    """Else a colleague's `dvc repro` would run everything again."""
    assert repro(study, installed("dvc"), PATH="").returncode == 0
    lock = (study / "dvc.lock").read_text(encoding="utf-8")
    assert "cmd: /bin/sh stages/run hello ann 'two words'" in lock
    assert sys.prefix not in lock


def test_without_any_python_the_line_says_what_to_do(study):
    """Where something that is no Python starts a stage and PATH names none."""
    keeper = "import os, sys; os.execve('/bin/sh', ['tool', '-c', '/bin/sh stages/run hello; exit $?'], {'PATH': ''})"
    done = subprocess.run([sys.executable, "-c", keeper], cwd=study, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: no Python found to run stages.hello in; start DVC as .venv/bin/dvc, or activate the environment\n"
    )


WORDS = """
from stages.runtime.command import run_stage

def main(network, hyperparameters, data, seed):
    with open(f"out-{network}-{hyperparameters}-{data}-{seed}", "w") as file:
        file.write(data)

if __name__ == "__main__":
    run_stage(main)
"""
MATRIX = """
stages:
  train:
    matrix: {network: "${study.networks}", hyperparameters: [default], data: [original], seed: "${study.seeds}"}
    cmd: /bin/sh stages/run train
    params: [study]
    outs: ["out-${item.network}-${item.hyperparameters}-${item.data}-${item.seed}"]
"""


@pytest.fixture
def matrix(study) -> Path:
    """A pipeline whose stages are told by DVC alone who they are."""
    shutil.copytree(ROOT / "stages/runtime", study / "stages/runtime")
    (study / "stages/train.py").write_text(WORDS, encoding="utf-8")
    (study / "dvc.yaml").write_text(MATRIX, encoding="utf-8")
    (study / "params.yaml").write_text("study: {networks: [own_cnn], seeds: [1, 2]}", encoding="utf-8")
    return study


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (".", ()),
        (".", ("train@own_cnn-default-original-1", "dvc.yaml:train@own_cnn-default-original-2")),
        (".", ("--glob", "train@*")),
        (".", ("-R", ".")),
        ("sub/folder", ("-P",)),
        ("sub", ("../dvc.yaml:train",)),
        ("sub", ("-s", "../dvc.yaml:train@own_cnn-default-original-1", "../dvc.yaml:train@own_cnn-default-original-2")),
    ],
)
def test_a_stage_takes_its_words_from_dvc_however_it_was_asked_for(matrix, folder, words):
    """By name, by file and name, by a pattern, by folder, all of them; from the top or a sub-folder."""
    run("dvc", "repro", *words, folder=matrix / folder)
    assert sorted(path.name for path in matrix.glob("out-*")) == [
        f"out-own_cnn-default-original-{seed}" for seed in (1, 2)
    ]


@pytest.mark.parametrize(
    "values", ['networks: [own_cnn], seeds: ["1; touch x; true"]', 'networks: ["$(touch x)"], seeds: [1]']
)
def test_nothing_of_params_yaml_reaches_a_shell(matrix, values):
    """A stranger's branch may name anything; the stage says that it is no seed, and no network."""
    (matrix / "params.yaml").write_text(f"study: {{{values}}}", encoding="utf-8")
    done = subprocess.run(("dvc", "repro"), cwd=matrix, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is not allowed; give" in done.stderr
    assert not list(matrix.rglob("x"))
