"""Threads that wait for work leave the cores to others soon, unless the user wants otherwise."""

import os
import re
import subprocess
import sys

import pytest
import torch

from helpers.projects import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch brings another OpenMP")
NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
BY_ITSELF = "300000" if torch.cpu.get_capabilities().get("amx_bf16") else "10000"


@pytest.mark.parametrize(
    ("given", "turns"),
    [({}, BY_ITSELF), ({"OMP_WAIT_POLICY": "passive"}, "0"), ({"GOMP_SPINCOUNT": "77"}, "77")],
)
def test_openmp_is_told_how_long_to_wait(given, turns):
    """As OpenMP itself says when torch loads it; what the user has set stays."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    words = [sys.executable, "-c", "import stages.hardware.device"]
    environment["OMP_DISPLAY_ENV"] = "verbose"
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)) == {turns}
