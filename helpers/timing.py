"""Measuring: sides of a comparison that take turns in processes of their own, peak memory, the machine, results."""

import json
import multiprocessing
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

import psutil

from helpers.projects import ENVIRONMENT, ROOT, run

SAMPLED_EVERY = 0.2  # seconds; more often would take time from what is measured
KINDS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 with bfloat16", "avx512f": "AVX-512", "avx2": "AVX2"}  # best first
PACKAGES = ("torch", "torchvision", "lightning", "timm", "albumentations", "dvc")

Held = Callable[[Any], int]  # of what psutil knows of a process's memory, the bytes that count
Pause = Callable[[], None]  # a side calls it before its first round and after each: it waits until the next is wanted


class Turn(NamedTuple):
    """What one round of a side took; memory is the highest sum over its processes, in bytes."""

    seconds: float
    peak_bytes: int


class Side:
    """One side of a comparison: a process that prepares its work once and then does a round whenever it is asked."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        """Start `work(*arguments, pause)` and wait until it is ready for its first round."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, arguments))
        self.process.start()
        theirs.close()
        self._receive()

    def turn(self) -> Turn:
        """Do a round."""
        with peak_memory(self.process.pid or 0) as peak:
            self.connection.send("go")
            seconds = self._receive()
        return Turn(seconds, peak[0])

    def _receive(self) -> float:
        try:
            return float(self.connection.recv())
        except EOFError:
            sys.exit("a side of the comparison failed; its error stands above")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.join()


def _serve(connection: Connection, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    multiprocessing.set_start_method(None, force=True)  # whose processes start as they would in a user's program
    start = time.perf_counter()

    def pause() -> None:
        nonlocal start
        connection.send(time.perf_counter() - start)
        try:
            connection.recv()
        except EOFError:
            sys.exit()  # the comparison is over
        start = time.perf_counter()

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # a table alone is wanted
        work(*arguments, pause)


def take_turns(sides: dict[str, Side], rounds: int) -> dict[str, list[Turn]]:
    """Have each side do a round that does not count, then `rounds` that do, one side after the other."""
    for side in sides.values():
        side.turn()
    turns: dict[str, list[Turn]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            turns[name].append(side.turn())
    return turns


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return how many times as long theirs took, the median over rounds."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def seconds(turns: list[Turn]) -> list[float]:
    """Return the seconds of each turn."""
    return [turn.seconds for turn in turns]


@contextmanager
def peak_memory(process: int, held: Held | None = None) -> Iterator[list[int]]:
    """Watch a process and all below it; the list holds the highest sum of what each has `held`, in bytes.

    By default their resident memory: pages that they share count for each.
    """
    held = held or resident
    watched, over = psutil.Process(process), threading.Event()
    peak = [_sum(held, watched)]

    def watch() -> None:
        while not over.wait(SAMPLED_EVERY):
            peak[0] = max(peak[0], _sum(held, watched))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def run_python(folder: Path, *words: str, held: Held | None = None) -> tuple[float, int, str]:
    """Run Python in a folder; return its seconds, peak memory in bytes as `peak_memory` has it, and what it printed."""
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with (
        subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        ) as process,
        peak_memory(process.pid, held) as peak,
    ):
        printed, _ = process.communicate()
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - start, peak[0], printed


def resident(memory: Any) -> int:
    """Return the resident memory of what psutil knows of a process's memory, in bytes."""
    return int(memory.rss)


def unshared(memory: Any) -> int:
    """Return the same without the pages of mapped files, which the system takes back as it needs them (Linux)."""
    return int(memory.rss - memory.shared)


def _sum(held: Held, process: psutil.Process) -> int:
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += held(member.memory_info())
    except psutil.NoSuchProcess:
        pass  # ended between being listed and being asked
    return total


def machine() -> str:
    """Return date, processor, cores and versions, for the line above a table."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    processor = said.get("model name", platform.processor())
    kinds = [kind for flag, kind in KINDS.items() if flag in said.get("flags", "").split()]
    processor += f" (family {said['cpu family']}, {kinds[0]})" if kinds else ""  # what virtual machines call alike
    packages = [f"{name} {version(name)}" for name in PACKAGES if find_spec(name)]
    parts = [f"{datetime.now(UTC):%Y-%m-%d}", f"{os.cpu_count()} cores of {processor}", platform.system()]
    return ", ".join([*parts, f"Python {platform.python_version()}", *packages])


def write_results(path: str, records: Any, shown: str = "") -> None:
    """Write a JSON file, named from the project's folder on: the machine, the commit, what was measured, and its table.

    `python -m helpers.result_pages` makes docs/results.md and docs/speed.md of the files that have a table.
    """
    file = ROOT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    commit = run("git", "rev-parse", "--short", "HEAD", folder=ROOT).strip()
    command = " ".join(["python -m", f"{path.partition('/')[0]}.{file.stem}", *map(_base, sys.argv[1:])])
    kept = {"machine": machine(), "commit": commit, "command": command, "table": shown, "measured": records}
    file.write_text(f"{json.dumps(kept, indent=1)}\n", encoding="utf-8")


def _base(word: str) -> str:
    """Return a word of a command line without the folders of a path."""
    return word.rpartition("/")[2]
