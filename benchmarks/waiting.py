"""How long threads should wait for work before they sleep: training alone, and beside a busy program on each core.

    python -m benchmarks.waiting [IMAGES] [ROUNDS]

The own CNN at 64 pixels, in epochs of IMAGES (640), by processes that differ in GOMP_SPINCOUNT or in their threads and
take turns: ROUNDS (5) each after one that does not count, first alone, then beside an endless loop on each core.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

from benchmarks.training import BATCH, CLASSES, write_images
from benchmarks.training_loops import Work, ours
from helpers.projects import ENVIRONMENT, ROOT
from helpers.timing import Side, machine, seconds, take_turns, write_results
from stages.commands.check import settings_of
from stages.networks.common.contract import network_named
from stages.reporting.markdown import table
from stages.runtime.cores import available_cores

VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
OURS = "as a stage has it"
SIDES = {  # what the environment says before Python starts
    "300,000 turns, OpenMP's own": {"GOMP_SPINCOUNT": "300000"},
    "10,000 turns": {"GOMP_SPINCOUNT": "10000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
SIZE = 64  # pixels a side
COLUMNS = ["threads wait", "images/s alone", "images/s beside busy programs"]


def main(count: int = 640, rounds: int = 5) -> None:
    """Measure all sides, quiet and busy; print images a second, medians."""
    with TemporaryDirectory(prefix="waiting.") as folder, ExitStack() as stack:
        work = Work("own_cnn", settings_of(network_named("own_cnn")), Path(folder), CLASSES, SIZE, BATCH)
        write_images(work, count)
        known = {OURS: variables_of_a_stage()} | SIDES
        sides = {name: stack.enter_context(started(work, variables)) for name, variables in known.items()}
        turns = {"alone": take_turns(sides, rounds)}
        with busy_cores():
            turns["busy"] = take_turns(sides, rounds)
    rates = {kind: {name: count / median(seconds(each)) for name, each in by.items()} for kind, by in turns.items()}
    found = table(COLUMNS, [[name, f"{rates['alone'][name]:,.0f}", f"{rates['busy'][name]:,.0f}"] for name in known])
    write_results("benchmarks/results/waiting.json", {"images": count, "turns": turns}, found)
    print(f"{machine()}; {available_cores()} busy programs\n\n{found}")


def variables_of_a_stage() -> dict[str, str]:
    """Return what stages/hardware/__init__.py says of waiting; here torch was imported before it could."""
    code = "import os, stages.hardware; print(os.environ.get('GOMP_SPINCOUNT', ''))"
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    turns = done.stdout.strip()
    return {"GOMP_SPINCOUNT": turns} if turns else {}


def started(work: Work, variables: dict[str, str]) -> Side:
    """Start a side that finds these variables, and none of the others that tell its threads what to do."""
    with patch.dict(os.environ):
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(variables)
        return Side(ours, work)


@contextmanager
def busy_cores() -> Iterator[None]:
    """Have an endless loop run beside for each core that this process may use."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(available_cores())]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
