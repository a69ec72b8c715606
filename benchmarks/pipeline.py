"""What the study takes from end to end, stage by stage, and what DVC and Python add to the work.

    python -m benchmarks.pipeline

Runs the whole default study in a copy. There it times `dvc repro` with nothing to do, in turns with a pipeline of
twenty stages whose command is `true`; and each stage from its start to its first useful work: when Python opens the
first file or folder of its data (safetensors opens the weights of evaluate by itself; what follows them counts).
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import yaml

from helpers.projects import ENVIRONMENT, copy_project, run
from helpers.timing import machine, write_results
from stages.reporting.markdown import duration, table

ROUNDS = 5
EMPTY_STAGES = 20
RUN = ["own_cnn", "default", "original", "1"]
WORDS = {  # of each stage: its command line
    "fetch": [],
    "prepare": [],
    "augment": [],
    "configure": [],
    "weights": ["own_cnn"],
    "embed": ["own_cnn", "test"],
    "tune": ["own_cnn"],
    "train": RUN,
    "evaluate": RUN,
    "explain": [],
    "insight": [],
    "learning_curve": ["own_cnn"],
    "report": [],
}
UNTIL_FIRST_WORK = """
import importlib, os, sys
from stages.runtime.parent import age
def end_at_data(event, arguments):
    looks = event in ("open", "os.scandir", "os.listdir", "os.mkdir")
    if looks and str(arguments[0]).startswith(("data/", "metrics/")):
        print(age(), "torch" in sys.modules, flush=True)
        os._exit(0)
name, *sys.argv[1:] = sys.argv[1:]
module = importlib.import_module(f"stages.{name}")
sys.addaudithook(end_at_data)
module.run_stage(module.main)
"""


def main() -> None:
    """Measure all three."""
    with TemporaryDirectory(prefix="pipeline.") as name:
        study, empty = Path(name) / "study", Path(name) / "empty"
        copy_project(study)
        by_stage = stage_seconds(study)
        make_empty_pipeline(empty)
        idle: dict[str, list[float]] = {"study": [], "empty stages": []}
        for _ in range(ROUNDS):
            idle["study"].append(repro_seconds(study))
            idle["empty stages"].append(repro_seconds(empty))
        starts = {stage: first_work(study, stage) for stage in WORDS}
    records = {"stages": by_stage, "no-op": idle, "starts": starts}
    total = sum(by_stage.values())
    print(f"{machine()}\n")
    rows = [[stage, duration(spent), f"{100 * spent / total:.0f} %"] for stage, spent in by_stage.items()]
    found = table(["stage", "all its runs", "share"], [*rows, ["the whole study", duration(total), ""]])
    write_results("benchmarks/results/pipeline.json", records, found)
    print(found, end="\n\n")
    ratio = median(ours / theirs for ours, theirs in zip(idle["study"], idle["empty stages"], strict=True))
    seconds = median(idle["study"])
    print(f"`dvc repro` with nothing to do: {seconds:.1f} s, {ratio:.2f} times {EMPTY_STAGES} empty stages\n")
    rows = [[stage, f"{median(spent):.1f} s", "yes" if torch else "no"] for stage, (spent, torch) in starts.items()]
    print(table(["stage", "until its first work", "imports torch"], rows))


def stage_seconds(study: Path) -> dict[str, float]:
    """Run the whole study; return the seconds of each stage, its runs together, with what DVC does for it."""
    seconds: defaultdict[str, float] = defaultdict(float)
    command = ["dvc", "repro"]
    environment = ENVIRONMENT | {"PYTHONUNBUFFERED": "1"}
    start, stage = time.perf_counter(), "reading dvc.yaml"
    with subprocess.Popen(command, cwd=study, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith("Running stage"):
                now = time.perf_counter()
                seconds[stage] += now - start
                start, stage = now, line.split("'")[1].partition("@")[0]
    if process.returncode:
        sys.exit(process.returncode)
    seconds[stage] += time.perf_counter() - start
    return dict(seconds)


def make_empty_pipeline(folder: Path) -> None:
    """Make a repository whose dvc.yaml has twenty stages of `true`, and run it."""
    folder.mkdir()
    stages = {f"stage{number}": {"cmd": "true"} for number in range(EMPTY_STAGES)}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    run("git", "init", "-q", folder=folder)
    run("dvc", "init", "-q", folder=folder)
    run("dvc", "repro", folder=folder)


def repro_seconds(folder: Path) -> float:
    """Return the seconds of a `dvc repro`."""
    start = time.perf_counter()
    run("dvc", "repro", folder=folder)
    return time.perf_counter() - start


def first_work(study: Path, stage: str, rounds: int = ROUNDS) -> tuple[list[float], bool]:
    """Return the seconds from a stage's start to its first work, of each round, and whether it imports torch."""
    seconds, torch = [], False
    environment = ENVIRONMENT | {"PYTHONPATH": os.fspath(study)}
    for _ in range(rounds):
        command = [sys.executable, "-c", UNTIL_FIRST_WORK, stage, *WORDS[stage]]
        printed = subprocess.run(command, cwd=study, env=environment, capture_output=True, text=True, check=True).stdout
        seconds.append(float(printed.split()[0]))
        torch = printed.split()[1] == "True"
    return seconds, torch


if __name__ == "__main__":
    main()
