"""Pushing and pulling prepared images as shards, beside the same images as loose files.

    python -m benchmarks.push_and_pull

Both are added to DVC, pushed to a folder, dropped from the cache and pulled again, in turns, five rounds of each.
"""

import shutil
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from helpers.image_files import write_jpeg_images
from helpers.projects import run
from helpers.timing import machine, write_results
from stages.images.shards import Row, ShardWriter
from stages.reporting.markdown import table

IMAGES, SIZE, ROUNDS = 10_000, 64, 5
STEPS = ("add", "push", "pull")


def main() -> None:
    """Measure both."""
    with TemporaryDirectory(prefix="push_and_pull.") as name:
        folder = Path(name)
        write_jpeg_images(folder / "loose files", IMAGES, SIZE)
        files = sorted((folder / "loose files").rglob("*.jpg"))
        names = sorted({path.parent.name for path in files})
        with ShardWriter(folder / "shards", names) as writer:
            for path in files:
                writer.add(Row(path.read_bytes(), f"{path.parent.name}/{path.name}", names.index(path.parent.name)))
        taken: dict[str, list[dict[str, float]]] = {"shards": [], "loose files": []}
        for _ in range(ROUNDS):
            for kind, rounds in taken.items():
                rounds.append(shared(folder / kind, folder / "repository"))
    write_results("benchmarks/results/push_and_pull.json", taken)
    medians = {kind: [median(one[step] for one in rounds) for step in STEPS] for kind, rounds in taken.items()}
    rows = [[kind, *(f"{seconds:.1f} s" for seconds in each)] for kind, each in medians.items()]
    times = [
        median(loose[step] / shard[step] for shard, loose in zip(taken["shards"], taken["loose files"], strict=True))
        for step in STEPS
    ]
    print(f"{machine()}; {IMAGES:,} images of {SIZE} pixels, {ROUNDS} rounds\n")
    print(table(["images as", *STEPS], [*rows, ["times as fast", *(f"{ratio:.1f}" for ratio in times)]]))


def shared(images: Path, repository: Path) -> dict[str, float]:
    """Return the seconds that each step takes in a repository made for it."""
    repository.mkdir()
    run("git", "init", "-q", folder=repository)
    run("dvc", "init", "-q", folder=repository)
    run("dvc", "remote", "add", "-q", "-d", "shared", str(repository / "remote"), folder=repository)
    shutil.copytree(images, repository / "images")
    seconds = {"add": step(repository, "add", "-q", "images"), "push": step(repository, "push", "-q")}
    shutil.rmtree(repository / ".dvc/cache")
    shutil.rmtree(repository / "images")
    seconds["pull"] = step(repository, "pull", "-q")
    shutil.rmtree(repository)
    return seconds


def step(repository: Path, *words: str) -> float:
    """Return the seconds of a DVC command."""
    start = time.perf_counter()
    run("dvc", *words, folder=repository)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
