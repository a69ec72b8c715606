"""`make parallel`: stages of one kind side by side, a device or a few cores each, as several `dvc repro -s`."""

import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import torch

from stages.commands.dvc import dvc_command, dvc_output
from stages.hardware import device
from stages.runtime.command import run_stage
from stages.runtime.cores import available_cores
from stages.runtime.errors import UserError

DEVICES = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}  # AMD's torch takes CUDA's as well
ATTEMPTS = 100  # while another DVC is writing, a second each
Environment = dict[str, str]


def main(processes: str = "", *options: str) -> None:
    """Run what `dvc repro` with options would run, so many stages at a time as PROCESSES says; then that itself."""
    if processes and not (processes.isdigit() and int(processes)):
        raise UserError(f"PROCESSES={processes}: give a number of trainings that run at a time, or nothing")
    slots, repro = environments(int(processes or 0)), ["repro", *options]
    for kind, names in groupby(dvc_output("stage", "list", "--name-only").split(), lambda name: name.split("@")[0]):
        changed = json.loads(dvc_output("status", "--json", *(group := list(names))))
        if stages := [name for name in group if name in changed]:
            print(f"{kind}: {len(stages)} to run, {min(len(slots), len(stages))} at a time")
            run_all(stages, slots, repro)
    subprocess.run(dvc_command(*repro), env=os.environ | slots[0], check=True)  # noqa: S603 - no shell


def environments(processes: int) -> list[Environment]:
    """Return what each of the processes that run at a time finds: a device of its own, or its share of the cores.

    With 0, as many as there are accelerators, or on a CPU cores, with a thread each.
    """
    kind = device.device().type
    if kind in DEVICES:
        given = os.environ.get(DEVICES[kind], "")
        devices = given.split(",") if given else [str(number) for number in range(torch.accelerator.device_count())]
        return [{DEVICES[kind]: devices[slot % len(devices)]} for slot in range(processes or len(devices))]
    count = processes or available_cores()
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, available_cores() // count))
    return [{"OMP_NUM_THREADS": threads}] * count


def run_all(stages: Sequence[str], slots: Sequence[Environment], repro: Sequence[str]) -> None:
    """Run each stage as soon as a slot is free. Raises UserError with those that failed, once all have ended."""
    free: queue.SimpleQueue[Environment] = queue.SimpleQueue()
    for slot in slots:
        free.put(slot)

    def stage_fails(stage: str) -> bool:
        slot = free.get()
        words = dvc_command("--wait-for-lock", *repro, "--single-item", stage)
        environment = os.environ | slot | {"TQDM_DISABLE": "1"}  # bars of several would overwrite each other
        for _ in range(ATTEMPTS):
            done = subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
            if not done.returncode or ("busy" not in done.stderr and "acquire lock" not in done.stderr):
                break
            time.sleep(1)
        sys.stderr.write(done.stderr)
        free.put(slot)
        return bool(done.returncode)

    with ThreadPoolExecutor(len(slots)) as threads:
        failed = [stage for stage, is_failed in zip(stages, threads.map(stage_fails, stages), strict=True) if is_failed]
    if failed:
        raise UserError(f"failed, as is said above: {', '.join(failed)}")


if __name__ == "__main__":
    run_stage(main)
