"""Kernels compile where code is read-only, there is no HOME and the user has no name, as in containers."""

import os
import shutil
import subprocess
import sys

import pytest

from helpers.projects import ROOT

NOBODY = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
NOBODY += [f"--{which}=-all,+dac_read_search" for which in ("inh-caps", "ambient-caps", "bounding-set")]
COMPILE = """
import numpy as np
from stages.kernels.batch_norm import numba_kernels
sums = np.empty((1, 2, 2))
numba_kernels().shifted_sums(np.full((1, 2, 2, 2), 3, np.float32), np.ones(2, np.float32), sums)
print(sums.tolist())
"""


@pytest.mark.parametrize("writable", [True, False])
def test_read_only_code_no_home_and_no_name(tmp_path, writable):
    """What is compiled is kept in the study, and where that is read-only as well, nowhere."""
    code, study = tmp_path / "code", tmp_path / "study"
    shutil.copytree(ROOT / "stages", code / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    study.mkdir()
    folders = [code, *(path for path in code.rglob("*") if path.is_dir()), *([] if writable else [study])]
    for folder in folders:
        folder.chmod(0o555)
    if writable:
        study.chmod(0o777)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    words = [*NOBODY, sys.executable] if os.geteuid() == 0 else ["env", "HOME=/nowhere", sys.executable]
    done = subprocess.run(
        [*words, "-B", "-c", COMPILE], cwd=study, env=environment, capture_output=True, text=True, check=False
    )
    for folder in folders:
        folder.chmod(0o755)
    assert (done.returncode, done.stdout) == (0, "[[[8.0, 8.0], [16.0, 16.0]]]\n"), done.stderr
    kept = sorted(path.relative_to(study).parts[:3] for path in study.rglob("*.nb[ic]"))
    assert kept == [(".dvc", "tmp", "numba")] * (2 if writable else 0)
    assert [path.name for path in study.iterdir()] == [".dvc"] * writable
    assert list(code.rglob("*.nb?")) == []
