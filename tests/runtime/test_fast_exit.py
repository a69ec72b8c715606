"""A program that ends at once has still done all that Python does at its end."""

import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

ENDING = """
import atexit, sys, weakref
from stages.runtime.fast_exit import leave

class Thing: pass

kept = Thing()
weakref.finalize(kept, print, "finalized")
atexit.register(print, "registered")
print("said", end=" ")
print("warned", file=sys.stderr)
leave({status})
"""
FULL = Path("/dev/full")


def ended(status: int, stdout: int | IO[str]) -> subprocess.CompletedProcess[str]:
    code = ENDING.format(status=status)
    return subprocess.run([sys.executable, "-c", code], check=False, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("status", [0, 3])
def test_all_is_printed_and_what_is_registered_is_done(status):
    """Through a pipe, where Python holds back what is printed."""
    done = ended(status, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout.split(), done.stderr.strip()) == (
        status,
        ["said", "registered", "finalized"],
        "warned",
    )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no disk that is always full")
def test_what_could_not_be_printed_is_no_success():
    """A disk that is full, as under `classify ... > answers.csv`."""
    with FULL.open("w") as full:
        assert ended(0, stdout=full).returncode == 1
