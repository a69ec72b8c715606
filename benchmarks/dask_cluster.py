"""prepare and augment on a Dask cluster: the same bytes as on one machine, and what a second worker brings.

    python -m benchmarks.dask_cluster [IMAGES]      (root, Linux, iproute2)

Machines are network namespaces of this one, so that they share its cores: one has the study and the scheduler, the
others a worker of one thread each, and none of the study's files.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.image_files import write_jpeg_images
from helpers.network_namespaces import Machine, machines
from helpers.projects import ROOT, set_params
from helpers.timing import machine, write_results
from stages.reporting.markdown import table

STAGES = ("prepare", "augment")
OUTS = ("original", "validation", "test", "augmented")
COLUMNS = ["computed by", *STAGES, "images/s", "bytes as on one machine"]


def main(count: int) -> None:
    """Run both stages by one local process, by one and two workers, and with one of two killed."""
    with TemporaryDirectory(prefix="dask_cluster.") as name, machines(3) as (home, *others):
        folder = Path(name) / "study"
        make(folder, count)
        alone = measured(folder, home, {"STUDY_WORKERS": "1"}, None)
        expected = digest(folder)
        rows = [("one process of this machine", alone, True)]
        for workers, killed in ((1, False), (2, False), (2, True)):
            with cluster(home, others[:workers], Path(name)) as (address, processes):
                victim = processes[0] if killed else None
                seconds = measured(folder, home, {"STUDY_CLUSTER": address, "STUDY_TRUSTED_NETWORK": "1"}, victim)
            who = f"{workers} workers" if workers > 1 else "one worker"
            rows.append((f"{who}, one killed in prepare" if killed else who, seconds, digest(folder) == expected))
    write_results("benchmarks/results/dask_cluster.json", rows)
    shown = [
        [who, *(f"{each:.1f} s" for each in seconds), f"{count / sum(seconds):,.0f}", "yes" if same else "no"]
        for who, seconds, same in rows
    ]
    print(f"{machine()}; {count:,} images of 64 pixels, one run each\n\n{table(COLUMNS, shown)}")


def make(folder: Path, count: int) -> None:
    """Write images as fetch leaves them."""
    write_jpeg_images(folder / "data/raw", count, 64)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, prepare__duplicates="keep")


@contextmanager
def cluster(home: Machine, others: list[Machine], folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """Give the address of a scheduler at home, and its workers elsewhere."""
    address = f"tcp://{home.address}:8786"
    dask = (sys.executable, "-m", "dask")
    scheduler = (*dask, "scheduler", "--host", home.address, "--no-dashboard", "--no-show")
    worker = (*dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
    quiet = {"stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        started = []
        for place, words in [(home, scheduler), *((other, worker) for other in others)]:
            (folder / place.name).mkdir(exist_ok=True)
            started.append(place.start(*words, folder=folder / place.name, settings={"PYTHONPATH": str(ROOT)}, **quiet))
            stack.callback(started[-1].wait)
            stack.callback(started[-1].terminate)
        time.sleep(10)  # for all of them to be there
        yield address, started[1:]


def measured(
    folder: Path, home: Machine, settings: Mapping[str, str], victim: subprocess.Popen[str] | None
) -> list[float]:
    """Return the seconds of each stage; a victim is killed after the first five."""
    seconds = []
    for out in OUTS:
        shutil.rmtree(folder / "data" / out, ignore_errors=True)
    for stage in STAGES:
        start = time.perf_counter()
        words = (sys.executable, "-m", f"stages.{stage}")
        with home.start(*words, folder=folder, settings={"PYTHONPATH": str(ROOT), **settings}) as process:
            if victim is not None and stage == STAGES[0]:
                time.sleep(5)
                victim.kill()
        if process.returncode:
            sys.exit(f"{stage} failed")
        seconds.append(time.perf_counter() - start)
    return seconds


def digest(folder: Path) -> str:
    """Return a digest of all that the stages have written."""
    files = sorted(file for out in OUTS for file in (folder / "data" / out).iterdir())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
