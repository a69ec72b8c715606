"""What a study costs, stage by stage, in pictures, pixels and classes; and from that, what large studies will.

    python -m benchmarks.cost

Each constant is the difference between a larger and a smaller set of drawn clouds of colour, so that no stage's start
is in it, and holds for this machine. What grows with the picture is counted by its pixels: those of the source for
prepare, those that the networks see for all that follows.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.growth import OUTS, run
from benchmarks.measuring import machine, write_results
from benchmarks.pictures import write_pictures
from benchmarks.studies import ROOT, set_params
from stages.evidence.tables import duration, table
from stages.support.files import read_json
from stages.support.shards import row_count

NETWORKS = ("own_cnn", "resnet50")
SMALL, LARGE = 1_000, 4_000  # pictures
EPOCHS, SHARES = 10, {"original": 0.595, "validation": 0.105, "test": 0.3}  # as params.yaml has them
PHOTOGRAPH = 500 * 375  # pixels
COPIES = 1


class Constants(NamedTuple):
    """Microseconds a pixel of a picture, in all cores together; bytes a pixel in a shard."""

    prepare: float
    augment: float
    train: dict[str, float]
    evaluate: dict[str, float]
    stored: float


def main() -> None:
    """Measure the constants; print them, and what follows for large studies."""
    with TemporaryDirectory(prefix="cost.") as name:
        known = constants(Path(name))
    write_results("cost", known._asdict())
    rows = [["prepare", "source", f"{known.prepare:.4f}"], ["augment", "of a copy", f"{known.augment:.4f}"]]
    for network in NETWORKS:
        rows.append([f"train {network}, an epoch", "of a training picture", f"{known.train[network]:.3f}"])
        rows.append([f"evaluate {network}", "of a test picture", f"{known.evaluate[network]:.3f}"])
    print(f"{machine()}; {known.stored:.2f} bytes a pixel in a shard\n")
    print(table(["stage", "pixels", "microseconds a pixel"], rows), "\n")
    head = ["pictures", "pixels", "prepare", "augment", "train own_cnn", "train resnet50", "decoded", "in the remote"]
    print(table(head, [large(known, 10**power, side) for power in (4, 5, 6, 7) for side in (64, 224)]))


def constants(folder: Path) -> Constants:
    """Return what each stage takes for a pixel more."""
    small, large = (dict(measured(folder / str(count), count)) for count in (SMALL, LARGE))
    more = LARGE - SMALL
    pixel = {name: 1e6 * (large[name] - small[name]) / more for name in small}
    seen = 64 * 64
    return Constants(
        pixel["prepare"] / (96 * 96),
        pixel["augment"] / (SHARES["original"] * COPIES * seen),
        {name: pixel[f"train {name}"] / (SHARES["original"] * seen) for name in NETWORKS},
        {name: pixel[f"evaluate {name}"] / (SHARES["test"] * seen) for name in NETWORKS},
        (large["stored"] - small["stored"]) / more / seen,
    )


def measured(folder: Path, count: int) -> Iterator[tuple[str, float]]:
    """Yield the seconds of each stage on so many pictures, and the bytes of a split's shards."""
    write_pictures(folder / "pictures", count, 96)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="pictures")
    set_params(folder, prepare__duplicates="keep", study__hyperparameters=["default"], training__epochs=1)
    set_params(folder, networks__resnet50__epochs=1)
    for stage in OUTS:
        yield stage, run(folder, "-m", f"stages.{stage}")[0]
    shards = [path for name in SHARES for path in (folder / "data" / name).glob("*.parquet")]
    yield "stored", float(sum(path.stat().st_size for path in shards))
    assert sum(row_count(folder / "data" / name) for name in SHARES) == count  # noqa: S101  # what constants divide by
    for network in NETWORKS:
        (folder / f"data/pretrained/{network}").mkdir(parents=True)
        run(folder, "-m", "stages.tune", network)
        run(folder, "-m", "stages.train", network, "default", "original", "1")
        timing = read_json(folder / f"data/trained/{network}-default-original-1/timing.json")
        yield f"train {network}", float(timing["seconds"])
        yield f"evaluate {network}", run(folder, "-m", "stages.evaluate", network, "default", "original", "1")[0]


def large(known: Constants, pictures: int, side: int) -> list[str]:
    """Return a line of the table: what a study of so many photographs, of this many pixels a side, takes."""
    pixels = side * side
    trained = pictures * SHARES["original"]
    seconds = [known.prepare * pictures * PHOTOGRAPH, known.augment * trained * COPIES * pixels]
    seconds += [known.train[network] * EPOCHS * trained * pixels for network in NETWORKS]
    stored = known.stored * pixels * pictures * (1 + SHARES["original"] * (1 + COPIES))
    decoded = 3 * pixels * trained * (1 + COPIES)
    sizes = [f"{size / 1e9:,.1f} GB" for size in (decoded, stored)]
    return [f"{pictures:,}", str(side), *(duration(value / 1e6) for value in seconds), *sizes]


if __name__ == "__main__":
    main()
