"""Kill a whole study at random moments, go on as `make` does, and hold all its bytes against an undisturbed one's.

    python -m experiments.kills 100 20 20

The study has a network that is trained and one with a frozen backbone. What is killed, by SIGKILL and with all its
processes, is what `make` runs: `python -m stages.commands.check`, then `dvc repro`, without the run cache, which
would hide what a kill has spoilt. After each kill the next `make` runs to its end, and every file but those of times
is compared; a copy of the folder as the kill left it goes on and may be killed again, until it has ended. So many
kills come at random moments, as many a second at one as at any other; then so many while DVC is writing dvc.lock; then
so many in augment, embed, tune and train, in equal parts. Two studies run side by side, on a thread each. A number of
0 leaves what experiments/results/kills.json has of that kind. Exits with 1 if a byte differed, a stage that was
recorded is not any more, or a study stopped.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from helpers.kills import processes_left
from helpers.outputs import digests
from helpers.projects import ENVIRONMENT, ROOT, copy_project, set_params, write_weights
from helpers.timing import write_results
from stages.runtime.files import read_json
from stages.runtime.lock_file import recorded

MAKE = f"{sys.executable} -m stages.commands.check && exec dvc repro --no-run-cache"
LOCKS = ("dvc.lock", ".dvc/tmp/dvc.lock.bak")
WRITING_SECONDS = 0.1  # that dvc.lock is cut after DVC has begun to write it
RESULTS = "experiments/results/kills.json"
STAGES = ("augment", "embed", "tune", "train")
SIDE_BY_SIDE = 2
STAGE_SECONDS = 3  # after a stage's start, at most, that it is killed: about as long as it takes on a quiet machine
GAP = 0.2  # of an undisturbed study's seconds: the mean time to a kill

Moment = Callable[[Path, subprocess.Popen[str]], str]  # waits for it; returns what runs then, or nothing at the end


@dataclass
class Counts:
    """What came of the kills."""

    killed: Counter[str] = field(default_factory=Counter)  # by what was running
    cut: int = 0  # kills that left a part of dvc.lock
    compared: int = 0  # studies that the next `make` brought to their end
    other_bytes: list[str] = field(default_factory=list)  # files, of studies that had been killed
    lost: list[str] = field(default_factory=list)  # stages that were recorded before a kill, and not after it
    stopped: list[str] = field(default_factory=list)  # what a study said that did not go on
    lives: int = 0  # studies that ended between two kills

    def __add__(self, other: "Counts") -> "Counts":
        """Return what came of both."""
        return Counts(**{name: value + getattr(other, name) for name, value in vars(self).items()})


class Whole(NamedTuple):
    """A study that nothing has killed."""

    base: Path  # the folder from which it started
    seconds: float
    files: dict[str, str]  # the digest of each


def main(at_random: str = "100", at_the_lock: str = "20", in_stages: str = "20") -> None:
    """Kill so often at random, so often while DVC writes dvc.lock, and so often in the stages that take longest."""
    kills = {"at_random": int(at_random), "while_dvc_writes_dvc_lock": int(at_the_lock), "in_stages": int(in_stages)}
    with TemporaryDirectory(prefix="kills.") as folder:
        base = Path(folder) / "base"
        make_study(base / "study")
        whole = undisturbed(base)
        print(f"undisturbed: {whole.seconds:.0f} s, {len(whole.files)} files", flush=True)
        start = time.monotonic()
        with ProcessPoolExecutor(SIDE_BY_SIDE, get_context("spawn")) as pool:
            parts = {
                name: [pool.submit(kill_often, whole, name, times, part) for part in range(SIDE_BY_SIDE)]
                for name, times in kills.items()
                if times
            }
            found = {name: sum((part.result() for part in each), Counts()) for name, each in parts.items()}
        took = time.monotonic() - start
    told = {name: vars(counts) for name, counts in found.items()}
    known = read_json(ROOT / RESULTS)["measured"][0] if (ROOT / RESULTS).is_file() else {}
    measured = {"files_compared": len(whole.files), "undisturbed_seconds": round(whole.seconds)}
    measured["seconds_per_kill"] = round(took / max(1, sum(counts.compared for counts in found.values())))
    write_results(RESULTS, [known | measured | told])
    sys.exit(any(counts.other_bytes or counts.lost or counts.stopped for counts in found.values()))


def make_study(folder: Path) -> None:
    """Copy the project, shrink its settings, and give it a second network, whose backbone is frozen."""
    copy_project(folder)
    shutil.copyfile(folder / "stages/networks/own_cnn.py", folder / "stages/networks/frozen_cnn.py")
    birds = {"species": 3, "images_per_class": 12, "image_size": 64}
    set_params(folder, dataset__classes=3, dataset__synthetic=birds, prepare__image_size=64)
    set_params(folder, study__networks=["own_cnn", "frozen_cnn"], study__data=["augmented"])
    set_params(folder, study__hyperparameters=["tuned"])
    set_params(folder, networks__own_cnn__epochs=3, search__trials=3, search__min_resource=1)
    set_params(folder, networks__frozen_cnn=write_weights(folder, "frozen_cnn"))


def undisturbed(base: Path) -> Whole:
    """Run a study to its end; put what it has compiled into the base, so that others need not."""
    once, counts = shutil.copytree(base, base.with_name("undisturbed"), symlinks=True), Counts()
    start = time.monotonic()
    kill_once(once / "study", never, counts)
    if counts.stopped:
        sys.exit(counts.stopped[0])
    seconds = time.monotonic() - start
    shutil.copytree(once / "study/stages", base / "study/stages", dirs_exist_ok=True)
    return Whole(base, seconds, digests(once / "study"))


def kill_often(whole: Whole, name: str, times: int, part: int) -> Counts:
    """Run studies and kill them; after each kill bring one to its end, and go on with a copy from before.

    Of a series of so many kills this is one part of SIDE_BY_SIDE.
    """
    kills, moment, counts = len(range(part, times, SIDE_BY_SIDE)), moments(whole, name, times, part), Counts()
    life, killed = (whole.base.with_name(f"{name}-{part}{suffix}") for suffix in ("", "-killed"))
    study, known = life / "study", list[str]()
    shutil.copytree(whole.base, life, symlinks=True)
    while counts.killed.total() < kills and not counts.stopped:
        if running := kill_once(study, moment, counts):
            left = [recorded((study / lock).read_text("utf-8")) for lock in LOCKS if (study / lock).exists()]
            counts.killed[running] += 1
            counts.cut += is_cut(study / "dvc.lock")
            counts.lost += [stage for stage in known if not any(stage in stages for stages in left)]
            known = max(left, key=len, default=[])
            shutil.copytree(life, killed, symlinks=True)  # with DVC's notes on files, which hold for this path alone
            kill_once(study, never, counts)
            counts.compared += not counts.stopped
        else:
            counts.lives += 1
            shutil.copytree(whole.base, killed, symlinks=True)
            known = []
        found = digests(study)
        counts.other_bytes += [file for file in whole.files | found if found.get(file) != whole.files.get(file)]
        said = f"{running}, {len(known)} stages recorded" if running else "ended"
        same = "same bytes" if not (counts.other_bytes or counts.stopped) else counts
        print(f"{name}, part {part}: {counts.killed.total()} of {kills}: {said}; {same}", flush=True)
        shutil.rmtree(life)
        killed.rename(life)
    shutil.rmtree(life)
    return counts


def kill_once(study: Path, moment: Moment, counts: Counts) -> str:
    """Run what `make` runs, and kill it at the moment; return what was running then, or nothing where it had ended."""
    ours = {"OMP_NUM_THREADS": "1", "DVC_SITE_CACHE_DIR": str(study.parent / "site")}
    with (study / ".dvc/printed").open("w+", encoding="utf-8") as printed:
        started = subprocess.Popen(
            ["sh", "-c", MAKE],
            cwd=study,
            env=ENVIRONMENT | ours,
            start_new_session=True,
            text=True,
            stdout=printed,
            stderr=printed,
        )
        try:
            running = moment(study, started)
        finally:
            if not (ended := started.poll() is not None):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    if ended and started.returncode:
        counts.stopped.append((study / ".dvc/printed").read_text("utf-8"))
    counts.stopped += [f"still runs: {process}" for process in processes_left(study)]
    return "" if ended else running


def moments(whole: Whole, name: str, times: int, part: int) -> Moment:
    """Return the moments of a part of a series, as a random stream of its own gives them."""
    draw = random.Random(f"{name} {part}")  # noqa: S311  # moments, not secrets
    if name == "at_random":
        return at_any_moment(draw, GAP * whole.seconds)
    if name == "in_stages":
        return in_each([STAGES[kill * len(STAGES) // times] for kill in range(part, times, SIDE_BY_SIDE)], draw)
    return while_the_lock_is_written(draw)


def never(_: Path, started: subprocess.Popen[str]) -> str:
    """Wait for the end."""
    started.wait()
    return ""


def at_any_moment(draw: random.Random, seconds: float) -> Moment:
    """Return moments that come as often at one time as at any other, after so many seconds on average."""

    def wait(study: Path, started: subprocess.Popen[str]) -> str:
        try:
            started.wait(draw.expovariate(1 / seconds))
        except subprocess.TimeoutExpired:
            return running_stage(started.pid)
        return ""

    return wait


def while_the_lock_is_written(draw: random.Random) -> Moment:
    """Return moments in which DVC has emptied dvc.lock and not written it whole, after one to three whole ones."""

    def wait(study: Path, started: subprocess.Popen[str]) -> str:
        writes, before = draw.randint(1, 3), size(study / "dvc.lock")
        while started.poll() is None:
            now = size(study / "dvc.lock")
            writes -= now < before or (now >= 0 > before)
            before = now
            if writes == 0:
                time.sleep(draw.uniform(0, WRITING_SECONDS))
                return "dvc.lock"
            time.sleep(0.0005)
        return ""

    return wait


def is_cut(lock: Path) -> bool:
    """Say whether DVC was killed while it wrote dvc.lock."""
    return lock.exists() and not lock.read_bytes().endswith(b"\n")


def in_each(wanted: list[str], draw: random.Random) -> Moment:
    """Return moments in stages of these kinds, one after the other; then none any more."""

    def wait(study: Path, started: subprocess.Popen[str]) -> str:
        while started.poll() is None:
            if wanted and running_stage(started.pid) == wanted[0]:
                time.sleep(draw.uniform(0, STAGE_SECONDS))
                if (running := running_stage(started.pid)) == wanted[0]:
                    return wanted.pop(0)
                if running != "dvc":
                    return running
            time.sleep(0.05)
        return ""

    return wait


def size(path: Path) -> int:
    """Return a file's size in bytes, -1 where there is none."""
    return path.stat().st_size if path.exists() else -1


def running_stage(dvc: int) -> str:
    """Return the kind of stage that DVC, or the shell before it, has started; else check or dvc."""
    words: list[str] = []
    with suppress(psutil.Error):  # one has just ended
        for process in [psutil.Process(dvc), *psutil.Process(dvc).children(recursive=True)]:
            words += process.cmdline()
    modules = [word.rpartition(".")[2] for word in words if word.startswith("stages.")]
    return modules[0] if modules else "dvc"


if __name__ == "__main__":
    main(*sys.argv[1:])
