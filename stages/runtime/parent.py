"""The process that has started this one: DVC, or torchrun's agent. A stage ends with it, however it ended."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

SHELLS = ("sh", "bash", "dash", "fish", "ksh", "zsh")  # DVC starts a stage through one of these, or some of them
REAPERS = ("systemd", "init", "launchd", "tini", "dumb-init")  # who becomes the parent of one whose own has died
POLL_SECONDS = 0.5
CLEANUP_SECONDS = 5.0  # that a stage may take to tidy up after its parent's end


def age() -> float:
    """Return the seconds since this process started."""
    if sys.platform != "linux":
        return time.time() - float(psutil.Process().create_time())
    # psutil adds the time of boot, which Linux tells in whole seconds, and not always the same
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def parents() -> list[psutil.Process]:
    """Return the processes above this one up to the first that is no shell, which is DVC where it runs this stage."""
    above = []
    for process in psutil.Process().parents():
        above.append(process)
        if process.name() not in SHELLS:
            break
    return above


def end_with_parent() -> None:
    """Have this process end when DVC does, even if DVC was killed: the next `dvc repro` may start it again."""
    above = parents()
    if not above or _has_taken_over(above[-1]):
        sys.exit("error: DVC ended before this stage began")

    def watch() -> None:
        while all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in above):
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(CLEANUP_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _has_taken_over(process: psutil.Process) -> bool:
    """Say whether a stage's first ancestor that is no shell, or else the last one that is, cannot be DVC."""
    if process.name() in (*SHELLS, *REAPERS):
        return True
    return process.pid == 1 and "dvc" not in " ".join(process.cmdline())  # in a container DVC itself may be the first
