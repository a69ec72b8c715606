"""What a stage that DVC started watches while it runs: its inputs, its parent, and that no other runs it as well.

DVC records the hashes of inputs after a stage has run (dvc#11058): what was edited meanwhile would count as used.
"""

import fcntl
import hashlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from stages.runtime.errors import UserError

SHELLS = ("sh", "bash", "dash", "fish", "ksh", "zsh")  # DVC starts a stage through one of these, or some of them
REAPERS = ("systemd", "init", "launchd", "tini", "dumb-init")  # who becomes the parent of one whose own has died
HANDOVER = 15.0  # seconds that a dying stage may take to let go of its lock
LOOK_EVERY = 0.5  # seconds
LAST_WORDS = 5.0  # seconds that a stage may take to tidy up after its parent's end


@contextmanager
def guard_stage(stage: str) -> Iterator[None]:
    """Run the block as `stage`, e.g. "train@own_cnn-default-original".

    Raises UserError where another process runs the same stage, or where an input changed in the meantime.
    """
    end_with_parent()
    with exclusive_lock(stage):
        before = inputs(stage)
        late = edited_since_start(before)
        yield
        after = inputs(stage)
        changed = sorted(late | {name for name in before | after if before.get(name) != after.get(name)})
        if changed:
            raise UserError(
                *(f"{name} changed while {stage} was running" for name in changed),
                "nothing was recorded, for the result may be of neither version; run `dvc repro` again",
            )


@contextmanager
def exclusive_lock(stage: str) -> Iterator[None]:
    """Hold the stage's lock, which the system takes back from a process that ends, however it ends."""
    path = Path(".dvc/tmp") / f"{stage}.running"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        until = time.monotonic() + HANDOVER
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise UserError(f"another process is running {stage}; wait until it has ended") from None
                time.sleep(LOOK_EVERY)
        yield


def inputs(stage: str) -> dict[str, str]:
    """Return a fingerprint of each param and dependency that dvc.yaml declares for a stage.

    Code and params are compared by what they say, data by size and time of change: reading it all would take as long
    as the stage.
    """
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    name, _, values = stage.partition("@")
    declared = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
    known = params | {"item": dict(zip(declared.get("matrix", {}), values.split("-"), strict=False))}

    def resolved(text: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda match: str(_at(known, match[1])), text)

    prints = {f"params.yaml: {key}": repr(_at(params, key)) for key in map(resolved, declared.get("params", []))}
    return prints | {path: _fingerprint(Path(path)) for path in map(resolved, declared.get("deps", []))}


def edited_since_start(names: dict[str, str]) -> set[str]:
    """Return the params and code that were written after this process had started, and perhaps after it had read them.

    A date of change in the future says nothing: the system's own record of it (ctime) tells whether that happened now.
    """
    started = time.time() - age()
    paths = {name: Path("params.yaml" if name.startswith("params.yaml: ") else name) for name in names}
    files = {name: _code_below(path) if path.is_dir() else [path] for name, path in paths.items()}
    return {name for name, each in files.items() if any(_written_since(started, file) for file in each)}


def _written_since(moment: float, file: Path) -> bool:
    return file.is_file() and min(file.stat().st_mtime, file.stat().st_ctime) > moment


def age() -> float:
    """Return the seconds since this process started."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.time()
    return now - start_of(psutil.Process())


def start_of(process: psutil.Process) -> float:
    """Return when a process started, in seconds since the machine's own start (Linux) or since 1970."""
    if sys.platform != "linux":
        return float(process.create_time())
    # psutil adds the time of boot, which Linux tells in whole seconds, and not always the same
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


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
    if not above or adopts_orphans(above[-1]):
        sys.exit("error: DVC ended before this stage began")

    def watch() -> None:
        while all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in above):
            time.sleep(LOOK_EVERY)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LAST_WORDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def adopts_orphans(process: psutil.Process) -> bool:
    """Say whether a stage's first ancestor that is no shell, or else the last one that is, cannot be DVC."""
    if process.name() in (*SHELLS, *REAPERS):
        return True
    return process.pid == 1 and "dvc" not in " ".join(process.cmdline())  # in a container DVC itself may be the first


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part] if isinstance(tree, dict) else None
    return tree


def _fingerprint(path: Path) -> str:
    if path.suffix == ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "missing"
    if path.is_dir() and path.parts[0] == "stages":  # a room: its code alone, for Python writes its caches beside it
        return repr([(str(file), _fingerprint(file)) for file in _code_below(path)])
    if not path.is_dir():
        return _stat(path)
    return repr([(str(below), _stat(below)) for below in sorted(path.rglob("*")) if below.is_file()])


def _code_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _stat(path: Path) -> str:
    if not path.exists():
        return "missing"
    status = path.stat()
    return f"{status.st_size} bytes of {status.st_mtime_ns}"
