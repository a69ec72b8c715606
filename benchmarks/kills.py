"""Kill a training at random moments and see whether the next `dvc repro` ends in the bytes of an uninterrupted one.

    python -m benchmarks.kills 20

Each round starts `dvc repro` on the same small study, sends SIGKILL at a random moment to the whole process group, to
dvc alone or to the trainer alone in turn, waits until no process of the study is left (10 s at most), runs `dvc repro`
again and compares weights.safetensors and history.csv. Prints a line per round and exits with 1 if any differed.
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.studies import ENVIRONMENT, copy_project, run, set_params

RUN = "own_cnn-default-original-1"
STAGE = f"train@{RUN}"
OUTPUTS = ("weights.safetensors", "history.csv")
TARGETS = ("group", "dvc", "trainer")
EPOCHS = 8


def main(rounds: int) -> None:
    """Kill `rounds` times."""
    draw, same = random.Random(1), 0  # noqa: S311  # moments, not secrets
    with TemporaryDirectory(prefix="kills.") as folder:
        base, work = Path(folder) / "base", Path(folder) / "work"
        make_study(base)
        shutil.copytree(base, work, symlinks=True)
        start = time.monotonic()
        repro(work)
        expected, duration = digests(work), time.monotonic() - start
        print(f"uninterrupted: {duration:.1f} s, {expected['weights.safetensors'][:16]}")
        for number in range(rounds):
            shutil.rmtree(work)
            shutil.copytree(base, work, symlinks=True)
            target, moment = TARGETS[number % len(TARGETS)], draw.uniform(0.1, 0.95) * duration
            left = kill(work, target, moment)
            output = repro(work)
            found = digests(work)
            same += found == expected and not left
            resumed = EPOCHS - len(re.findall(rf"epoch \d+/{EPOCHS}", output))
            verdict = "same bytes" if found == expected else "OTHER BYTES"
            processes = f", {left} PROCESSES LEFT" if left else ""
            print(f"{number + 1:2}: {target} killed after {moment:4.1f} s, {resumed} epochs kept, {verdict}{processes}")
    print(f"{same} of {rounds} ended in the bytes of the uninterrupted training")
    sys.exit(same < rounds)


def make_study(folder: Path) -> None:
    """Copy the project, shrink its settings, and run what comes before training."""
    copy_project(folder)
    set_params(folder, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    set_params(folder, dataset__classes=4)
    set_params(folder, dataset__synthetic={"species": 4, "images_per_class": 60, "image_size": 64})
    set_params(folder, search__trials=1, networks__own_cnn__epochs=EPOCHS)
    repro(folder, "tune@own_cnn")


def repro(folder: Path, stage: str = STAGE) -> str:
    """Run a stage and what it needs to the end; return what it printed."""
    return run("dvc", "repro", stage, folder=folder)


def kill(folder: Path, target: str, moment: float) -> int:
    """Start the training, kill `target` after `moment` seconds; return how many processes are left 10 s later."""
    started = subprocess.Popen(
        ["dvc", "repro", STAGE],
        cwd=folder,
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(moment)
    trainers = [process for process in processes_in(folder) if "stages.train" in process.cmdline()]
    if target == "group":
        os.killpg(started.pid, signal.SIGKILL)
    elif target == "dvc" or not trainers:
        started.kill()
    else:
        trainers[0].kill()
    started.wait()
    until = time.monotonic() + 10
    while processes_in(folder) and time.monotonic() < until:
        time.sleep(0.1)
    return len(processes_in(folder))


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each output of the training."""
    trained = folder / "data/trained" / RUN
    return {name: hashlib.sha256((trained / name).read_bytes()).hexdigest() for name in OUTPUTS}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
