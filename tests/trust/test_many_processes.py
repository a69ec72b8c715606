"""Where a study runs changes nothing that it records: side by side, in several processes, on several machines."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from helpers.network_namespaces import Machine, available, machines
from helpers.projects import run
from stages.runtime.files import read_csv, read_json
from tests.study import SEARCH, new_study, repro

RUN = "own_cnn-default-original-2"  # of another seed than the search, which is of one process
TIMES = re.compile(  # what they differ in: seconds, and folders and reports that hold them
    r"timings?\.json|metrics/(costs|runs)|cost\.json|data/(report|trained)|data/hyperparameters$|metrics/.*\.md"
)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Hold a study of two runs, of which nothing has run."""
    return new_study(
        tmp_path_factory.mktemp("study"),
        study__networks=["own_cnn"],
        study__data=["original"],
        study__seeds=[2],
        training__epochs=2,
        search=SEARCH | {"trials": 2},
    )


def weights(folder: Path) -> dict[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in (folder / "data/trained").glob("*/weights.safetensors")}


def copy(study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(study, tmp_path / "copy")


def lock(folder: Path) -> str:
    """Return dvc.lock without the digests and sizes of times."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for stage in stages.values():
        for kind in ("deps", "outs"):
            for entry in stage.get(kind, []):
                if TIMES.search(entry["path"]):
                    entry.clear()
    return yaml.safe_dump(stages)  # in the order of names: a stage enters the file as it ends


def test_side_by_side_dvc_lock_is_as_from_one_after_the_other(study, tmp_path):
    """With the same number of threads each, in bytes but for times; and nothing runs twice."""
    serial, parallel = copy(study, tmp_path / "a"), copy(study, tmp_path / "b")
    stages = repro(serial)
    said = run("env", "OMP_NUM_THREADS=1", "python", "-m", "stages.commands.parallel", "2", folder=parallel)
    assert "tune: 1 to run, 1 at a time" in said
    assert "train: 2 to run, 2 at a time" in said
    assert sorted(re.findall(r"Running stage '(.+)'", said)) == stages
    assert lock(parallel) == lock(serial)
    assert weights(parallel) == weights(serial)
    assert run("dvc", "repro", folder=parallel).count("Running stage") == 0


def test_a_run_in_two_processes_is_dvc_s_own_run(study, tmp_path):
    """Torchrun's environment alone asks for them; afterwards one process has nothing to do."""
    folder = copy(study, tmp_path)
    words = ("PET_NPROC_PER_NODE=2", "OMP_NUM_THREADS=1", "dvc", "repro", f"train@{RUN}")
    assert f"Running stage 'train@{RUN}'" in run("env", *words, folder=folder)
    assert read_json(folder / f"data/trained/{RUN}/timing.json")["device"] == "2 x CPU, 1 threads"
    assert repro_of(folder, f"train@{RUN}") == []


def repro_of(folder: Path, stage: str) -> list[str]:
    return re.findall(r"Running stage '(.+)'", run("dvc", "repro", stage, folder=folder))


@pytest.fixture
def two_machines() -> Iterator[list[Machine]]:
    """Two machines with addresses of their own."""
    if not available():
        pytest.skip("needs iproute2 and the right to make network namespaces")
    with machines(2) as found:
        yield found


def start(machine: Machine, number: int, meeting: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a command on a machine, one of two that train together."""
    settings = {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_RDZV_ENDPOINT": f"{meeting}:29400",
        "PET_RDZV_CONF": f"is_host={int(number == 0)}",
        "PET_LOCAL_ADDR": machine.address,
        "GLOO_SOCKET_IFNAME": "eth0",
        "OMP_NUM_THREADS": "1",
        "STUDY_TRUSTED_NETWORK": "1",
        "PET_RDZV_BACKEND": "c10d",
    }
    return machine.start(*words, folder=folder, settings=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_two_machines_train_a_run_to_its_end(study, tmp_path, two_machines):
    """One runs `dvc repro`, the other torchrun, under the stage's name; only the first one's DVC records it."""
    folder = copy(study, tmp_path)
    run("env", "OMP_NUM_THREADS=1", "dvc", "repro", "tune@own_cnn", folder=folder)
    first, second = two_machines
    words = ("-m", "torch.distributed.run", "--rdzv-id", f"train@{RUN}", "-m", "stages.train", *RUN.split("-"))
    helper = start(second, 1, first.address, folder, sys.executable, *words)
    try:
        said, _ = start(first, 0, first.address, folder, "dvc", "repro", f"train@{RUN}").communicate(timeout=300)
        assert "Use `dvc push`" in said, said
        assert read_json(folder / f"data/trained/{RUN}/timing.json")["device"] == "2 x CPU, 1 threads"
        assert len(read_csv(folder / f"data/trained/{RUN}/history.csv")) == 2
        printed, _ = helper.communicate(timeout=60)
    finally:
        helper.kill()
    assert helper.returncode == 0, printed
    assert "Traceback" not in printed
