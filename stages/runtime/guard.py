"""A stage that DVC started runs once at a time, and its inputs must not change meanwhile.

DVC records the hashes of inputs after a stage has run (dvc#11058): what was edited meanwhile would count as used.
"""

import errno
import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.runtime.errors import UserError
from stages.runtime.files import files_below
from stages.runtime.lock_file import keep_lock_file
from stages.runtime.parent import POLL_SECONDS, age, end_with_parent
from stages.runtime.pipeline import at, remove_leftovers, resolve, start_message
from stages.runtime.runs import parse_address
from stages.runtime.study_log import seconds_of_stages
from stages.runtime.yaml_files import read_yaml

LOCK_TIMEOUT = 15.0  # seconds that a dying stage may take to let go of its lock
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # of a file system without flock
PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")


@contextmanager
def guard_stage(address: str) -> Iterator[None]:
    """Run the block as the stage that DVC calls `address`, e.g. ../dvc.yaml:train@own_cnn-default-original-1.

    Raises UserError where another process runs the same stage, or where an input changed in the meantime.
    """
    end_with_parent()
    name, words = parse_address(address)
    stage = "@".join([name, *(["-".join(words)] if words else [])])
    with exclusive_lock(stage):
        keep_lock_file()
        stages, params = read_yaml(PIPELINE)["stages"], read_yaml(PARAMS)
        remove_leftovers(stages, params)
        print(start_message(stages, params, stage, seconds_of_stages()), file=sys.stderr)
        before = fingerprints(name, words)
        late = edited_since_start(before)
        yield
        after = fingerprints(name, words)
        if changed := late | {key for key in before | after if before.get(key) != after.get(key)}:
            raise UserError(
                *(f"{key} changed while {stage} was running" for key in sorted(changed)),
                "nothing was recorded, for the result may be of neither version; run `dvc repro` again",
            )


@contextmanager
def exclusive_lock(stage: str) -> Iterator[None]:
    """Hold the stage's lock, which the system takes back from a process that ends, however it ends.

    Where the file system has no locks, a line says so, and the block runs without one.
    """
    path = Path(".dvc/tmp") / f"{stage.replace('/', '_')}.running"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)  # neither a link's target
    try:
        until = time.monotonic() + LOCK_TIMEOUT
        while not _is_locked(file):
            if time.monotonic() > until:
                raise UserError(f"another process is running {stage}; wait until it has ended")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(file)


def _is_locked(file: int) -> bool:
    """Take a file's lock; say whether that went well, or cannot go well on this file system."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print("warning: this file system has no locks (flock); start no second `dvc repro` here", file=sys.stderr)
    return True


def fingerprints(name: str, words: list[str]) -> dict[str, str]:
    """Return a fingerprint of each param and dependency that dvc.yaml declares for a stage, by its name.

    Code and params are compared by what they say, data by size and time of change: reading it all would take as long
    as the stage.
    """
    declared = read_yaml(PIPELINE)["stages"][name]
    params = read_yaml(PARAMS)
    known = params | {"item": dict(zip(declared.get("matrix", {}), words, strict=False))}
    keys = [resolve(key, known) for key in declared.get("params", [])]
    prints = {f"{PARAMS}: {key}": repr(at(params, key)) for key in keys}
    for path in [Path(resolve(path, known)) for path in declared.get("deps", [])]:
        prints[str(path)] = repr([(str(file), _state(file)) for file in _files(path)])
    return prints


def edited_since_start(names: Iterable[str]) -> set[str]:
    """Return the params and code that were written after this process had started, and perhaps after it had read them.

    A date in the future says nothing: a clock was put right, or an archive came from a machine ahead. The system's own
    record of a change (ctime) then tells whether it happened now; where that lies in the future too, nobody knows.
    """
    started = time.time() - age()

    def is_late(file: Path) -> bool:
        return file.exists() and started < min(file.stat().st_mtime, file.stat().st_ctime) <= time.time()

    paths = {name: PARAMS if name.startswith(f"{PARAMS}: ") else Path(name) for name in names}
    return {name for name, path in paths.items() if any(map(is_late, _code(path) if path.is_dir() else [path]))}


def _files(path: Path) -> list[Path]:
    """Return a dependency's files: of a folder of code the code alone, for Python writes its caches beside it."""
    if not path.is_dir():
        return [path]
    return _code(path) if path.parts[0] == "stages" else files_below(path)


def _code(folder: Path) -> list[Path]:
    return [file for file in files_below(folder) if file.suffix == ".py"]


def _state(file: Path) -> str:
    if not file.exists():
        return "missing"
    if file.suffix == ".py":
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{file.stat().st_size} bytes of {file.stat().st_mtime_ns}"
