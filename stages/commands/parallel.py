"""`make parallel`: what a study trains runs side by side first, a device or a few cores each; then `dvc repro` as ever.

DVC runs one stage after the other. What tune and train compute they keep beyond it: DVC's own run of a stage then takes
what is there already, so that dvc.lock is written as if nothing had run but `dvc repro`.
"""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import torch

from stages.hardware import device
from stages.runtime.command import run_stage
from stages.runtime.cores import available_cores
from stages.runtime.errors import UserError
from stages.runtime.progress import stage_names

VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}  # AMD's torch takes CUDA's as well
ONLY_TRIALS = "only-trials"  # of tune: the search is left for DVC's run to write down
Environment = dict[str, str]


def main(processes: str = "") -> None:
    """Tune and train side by side, so many at a time, what `dvc repro` would run; then run that."""
    if processes and not (processes.isdigit() and int(processes)):
        raise UserError(f"PROCESSES={processes}: give a number of trainings that run at a time, or nothing")
    places = environments(int(processes or 0))
    threads = {name: value for name, value in places[0].items() if name == "OMP_NUM_THREADS"}
    _repro(threads, *_named("augment"))
    for kind, extra in (("tune", (ONLY_TRIALS,)), ("train", ())):
        stages = changed(_named(kind))
        print(f"{kind}: {len(stages)} to run, {min(len(places), len(stages))} at a time")
        run_all([(kind, *name.partition("@")[2].split("-"), *extra) for name in stages], places)
        _repro(threads, *_named(kind))
    _repro(threads)


def environments(processes: int) -> list[Environment]:
    """Return what each of the processes that run at a time finds: a device of its own, or its share of the cores.

    With 0, as many as there are accelerators, or on a CPU cores, with a thread each.
    """
    kind = device.device().type
    if kind in VISIBLE:
        given = os.environ.get(VISIBLE[kind], "")
        devices = given.split(",") if given else [str(number) for number in range(torch.accelerator.device_count())]
        return [{VISIBLE[kind]: devices[place % len(devices)]} for place in range(processes or len(devices))]
    at_a_time = processes or available_cores()
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, available_cores() // at_a_time))
    return [{"OMP_NUM_THREADS": threads} for _ in range(at_a_time)]


def changed(stages: Sequence[str]) -> list[str]:
    """Return those of the stages that `dvc repro` would run, in its order."""
    done = subprocess.run(_dvc("status", "--json", *stages), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UserError(*(done.stderr.strip().removeprefix("ERROR: ").splitlines() or ["dvc status failed"]))
    stale = json.loads(done.stdout)
    return [name for name in stages if name in stale]


def run_all(calls: Sequence[Sequence[str]], places: Sequence[Environment]) -> None:
    """Run stages outside of DVC, each as soon as a place is free.

    One that fails is left to DVC's own run of it, which says so in its place.
    """
    free: queue.SimpleQueue[Environment] = queue.SimpleQueue()
    for place in places:
        free.put(place)
    numbers = count(1)

    def run(call: Sequence[str]) -> None:
        place = free.get()
        environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
        command = [sys.executable, "-m", f"stages.{call[0]}", *call[1:]]
        quiet = {"TQDM_DISABLE": "1"}  # bars of several would overwrite each other
        done = subprocess.run(command, env=environment | place | quiet, check=False)  # noqa: S603 - no shell
        print(f"{next(numbers)} of {len(calls)}: {' '.join(call)} {'failed' if done.returncode else 'is done'}")
        free.put(place)

    with ThreadPoolExecutor(len(places)) as threads:
        for _ in threads.map(run, calls):
            pass  # an error is raised here


def _named(kind: str) -> list[str]:
    return [name for name in stage_names() if name.partition("@")[0] == kind]


def _repro(environment: Environment, *stages: str) -> None:
    done = subprocess.run(_dvc("repro", *stages), env=os.environ | environment, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise UserError("dvc repro failed; what it said stands above")


def _dvc(*words: str) -> list[str]:
    return [sys.executable, "-m", "dvc", *words]


if __name__ == "__main__":
    run_stage(main)
