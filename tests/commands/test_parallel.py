"""`make parallel`: stages of one kind at the same time, and all is recorded as by `dvc repro`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.projects import ENVIRONMENT, ROOT, run
from stages.commands.parallel import main
from stages.runtime.errors import UserError

PIPELINE = """
stages:
  mill:
    cmd: echo flour > flour
    outs: [flour]
  bake:
    matrix: {loaf: [rye, spelt, wheat]}
    cmd: date +%s.%N > begun-${item.loaf} && sleep 4 && cp flour ${item.loaf} && date +%s.%N > ended-${item.loaf}
    deps: [flour]
    outs: ["${item.loaf}"]
  sell:
    cmd: cat rye spelt wheat > sold
    deps: [rye, spelt, wheat]
    outs: [sold]
"""


@pytest.fixture
def bakery(tmp_path) -> Path:
    """Hold a pipeline whose second stage is one of three."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    run("git", "init", "-q", folder=tmp_path)
    run("dvc", "init", "-q", folder=tmp_path)
    return tmp_path


def parallel(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "stages.commands.parallel", *words)
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def moments(folder: Path, kind: str) -> list[float]:
    return [float(path.read_text(encoding="utf-8")) for path in folder.glob(f"{kind}-*")]


def test_stages_of_one_kind_run_at_the_same_time(bakery):
    """The last has begun before the first has ended; afterwards there is nothing to do, and no stage has run twice."""
    done = parallel(bakery, "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bake: 3 to run, 3 at a time" in done.stdout
    assert max(moments(bakery, "begun")) < min(moments(bakery, "ended"))
    assert sorted(re.findall(r"Running stage '(.+)'", done.stdout)) == [
        "bake@rye", "bake@spelt", "bake@wheat", "mill", "sell"
    ]  # fmt: skip
    assert set(yaml.safe_load((bakery / "dvc.lock").read_text(encoding="utf-8"))["stages"]) == {
        "mill", "bake@rye", "bake@spelt", "bake@wheat", "sell"
    }  # fmt: skip
    assert "Running" not in run("dvc", "repro", folder=bakery)


def test_what_dvc_repro_is_told_is_told_each_of_them(bakery):
    """As where a dependency is missing that was there when its stage ran: nothing is to run for it."""
    run("dvc", "repro", "-q", folder=bakery)
    for name in ("flour", "rye"):
        (bakery / name).unlink()
    done = parallel(bakery, "", "--allow-missing")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running" not in done.stdout
    assert not (bakery / "rye").exists()


def test_what_fails_is_named_and_stops_the_rest(bakery):
    """After the others of its kind have ended; their results are kept."""
    path = bakery / "dvc.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("sleep 4", "test ${item.loaf} != rye"), encoding="utf-8")
    done = parallel(bakery, "2")
    assert done.returncode == 1
    assert done.stderr.endswith("error: failed, as is said above: bake@rye\n")
    assert (bakery / "wheat").exists()
    assert not (bakery / "sold").exists()


def test_a_number_that_is_none_is_said_in_words():
    """With what was meant."""
    with pytest.raises(UserError, match="PROCESSES=many: give a number of trainings"):
        main("many")
