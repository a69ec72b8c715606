"""Kill a training at random moments and see whether the next `dvc repro` ends in the bytes of an uninterrupted one.

    python -m experiments.kills 20

Each round starts `dvc repro` on the same small study, sends SIGKILL at a random moment to the whole process group, to
dvc alone or to the trainer alone in turn, waits until no process of the study is left (10 s at most), runs `dvc repro`
again and compares weights.safetensors and history.csv. Prints a line per round and exits with 1 if any differed.
"""

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

from helpers.kills import EPOCHS, STAGE, digests, make_study, processes_in, repro
from helpers.projects import ENVIRONMENT

TARGETS = ("group", "dvc", "trainer")


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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
