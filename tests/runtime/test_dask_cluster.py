"""A Dask cluster gives the images that one machine gives, whatever becomes of its workers; or says why it cannot."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.projects import ROOT, set_params
from stages.runtime import dask_cluster
from stages.runtime.errors import UserError
from tests.conftest import write_images

OUTPUTS = ("original", "validation", "test", "augmented", "skipped.csv", "duplicates.csv", "composition.json")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler; it has no workers but those that a test starts."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show")
    process = subprocess.Popen((sys.executable, "-m", "dask", *words), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    yield f"tcp://127.0.0.1:{port}"
    process.terminate()
    process.wait()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def worker(scheduler, tmp_path) -> Iterator[Start]:
    """Start a worker far from the study, with the code in a folder."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: Path = ROOT) -> subprocess.Popen[bytes]:
        folder = tmp_path / f"worker {len(started)}"
        folder.mkdir()
        words = ("worker", scheduler, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--death-timeout", "120")
        started.append(
            subprocess.Popen(
                (sys.executable, "-m", "dask", *words),
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(code)},
                stderr=subprocess.DEVNULL,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait()


@pytest.fixture
def study(project) -> Path:
    """Images of two classes, one of 12 bits and one that is none, ready for prepare."""
    write_images(project / "data/raw", {"crow": 40, "jay": 40})
    deep = np.random.default_rng(1).integers(0, 4096, (40, 40), np.uint16)
    Image.fromarray(deep).save(project / "data/raw/jay/deep.png")
    (project / "data/raw/crow/none.jpg").write_text("no image", encoding="utf-8")
    set_params(project, prepare__image_size=32, prepare__on_bad_image="skip")
    return project


def run(stage: str, address: str = "") -> subprocess.CompletedProcess[str]:
    settings = {"STUDY_CLUSTER": address, "STUDY_WORKERS": "1", "PYTHONPATH": str(ROOT)}
    words = (sys.executable, "-m", f"stages.{stage}")
    return subprocess.run(words, env=os.environ | settings, capture_output=True, text=True, check=False)


def made(study: Path) -> dict[str, bytes]:
    """Return the content of every file that prepare and augment write; these are removed."""
    files = {}
    for output in (study / "data" / name for name in OUTPUTS):
        for path in [output, *output.rglob("*")]:
            if path.is_file():
                files[path.relative_to(study).as_posix()] = path.read_bytes()
        shutil.rmtree(output) if output.is_dir() else output.unlink()
    return files


def test_the_bytes_are_those_of_one_machine_even_if_a_worker_is_killed(study, scheduler, worker):
    """Workers see none of the study's files: what they need comes to them."""
    for stage in ("prepare", "augment"):
        assert run(stage).returncode == 0
    alone = made(study)
    workers = [worker() for _ in range(2)]
    for stage in ("prepare", "augment"):
        done = run(stage, scheduler)
        assert done.returncode == 0, done.stderr
    assert made(study) == alone

    stages = subprocess.Popen(
        (sys.executable, "-m", "stages.prepare"),
        env=os.environ | {"STUDY_CLUSTER": scheduler, "PYTHONPATH": str(ROOT)},
    )
    time.sleep(2)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert stages.wait() == 0
    assert run("augment", scheduler).returncode == 0
    assert made(study) == alone


def test_a_worker_of_other_code_is_refused_in_words(study, scheduler, worker, tmp_path):
    """Its images might be others."""
    other = tmp_path / "other"
    shutil.copytree(ROOT / "stages", other / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "stages/images/reading.py").open("a", encoding="utf-8") as file:
        file.write("\n# another version\n")
    worker(other)
    done = run("prepare", scheduler)
    assert done.returncode == 1
    assert "would give other images; it has\nerror: code: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (study / "data/original").exists()


def test_workers_that_start_after_the_study_are_waited_for_and_lost_ones_not_for_ever(scheduler, worker, monkeypatch):
    """As in a job of a cluster, where all start at once, and one ends when its time is up."""
    monkeypatch.setattr(dask_cluster, "WORKER_TIMEOUT", 60)
    monkeypatch.setenv(dask_cluster.ADDRESS_VARIABLE, scheduler)
    lengths = dask_cluster.cluster_map(len, ["a", "bc", "def"], "lengths")
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(next, lengths)
        started = worker()
        assert [first.result(), *lengths] == [1, 2, 3]
        monkeypatch.setattr(dask_cluster, "WORKER_TIMEOUT", 1)
        sleeping = beside.submit(next, dask_cluster.cluster_map(time.sleep, [600], "naps"))
        time.sleep(2)
        os.kill(started.pid, signal.SIGKILL)
        with pytest.raises(UserError, match="has no workers"):
            sleeping.result()


def test_an_address_without_a_cluster_is_said_in_words(study, scheduler, monkeypatch):
    """No scheduler, no workers, no address at all."""
    monkeypatch.setattr(dask_cluster, "WORKER_TIMEOUT", 1)
    monkeypatch.setattr(dask_cluster, "SCHEDULER_TIMEOUT", "1s")
    for address, said in {
        scheduler: f"the scheduler at {scheduler} has no workers",
        "tcp://127.0.0.1:9": "no Dask scheduler answers at tcp://127.0.0.1:9",
        "nonsense://x": "give a Dask scheduler's address, e.g. tcp://scheduler:8786",
    }.items():
        monkeypatch.setenv(dask_cluster.ADDRESS_VARIABLE, address)
        with pytest.raises(UserError, match=re.escape(said)):
            list(dask_cluster.cluster_map(len, ["a"], "lengths"))
    done = run("prepare", "nonsense://x")
    assert done.returncode == 1
    assert "nonsense://x" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_a_cluster_that_others_may_reach_is_refused(monkeypatch):
    """Unless it is encrypted, or somebody says that nobody else does."""
    monkeypatch.setenv("STUDY_CLUSTER", "tcp://10.0.0.7:8786")
    monkeypatch.delenv("STUDY_TRUSTED_NETWORK", raising=False)
    with pytest.raises(UserError, match="whoever reaches it runs code on it; give a tls:// address"):
        list(dask_cluster.cluster_map(str, [1], "test"))


def test_the_recipe_lets_nobody_in_without_its_certificate(tmp_path):
    """Its own lines start the scheduler, at one address; a client of the job reaches it, another does not."""
    recipe = (ROOT / "docs/recipes/slurm.sh").read_text(encoding="utf-8")
    assert "--host 0.0.0.0" not in recipe
    lines = recipe[recipe.index("certificates=") : recipe.index("srun --overlap dask worker")]
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    client = (
        f"{sys.executable} -c 'import os, distributed; distributed.Client(os.environ[\"STUDY_CLUSTER\"], timeout=9)'"
    )
    script = [
        "set -eu",
        "address=127.0.0.1",
        lines.replace("8786", port),
        f"until {client}; do sleep 1; done",
        "echo in",
    ]
    script += ["for name in $(env | grep -o '^DASK_[A-Z_]*'); do unset $name; done", f"! {client} && echo not in"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    words = ("timeout", "100", "bash", "-c", "\n".join(script))
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["in", "not in"], done.stderr
    assert list(tmp_path.iterdir()) == []
