"""What a study costs, stage by stage, in images, pixels and classes; and from that, what large studies will.

    python -m benchmarks.cost_per_image

Each constant is the difference between a larger and a smaller set of drawn clouds of colour, so that no stage's start
is in it, and holds for this machine. Images come in the size of photographs, 433 pixels a side as many as 500 x 375
have. Training and scoring are measured at 64 pixels and grow with the pixels; classes hardly matter: the last layer
alone grows with them, by 128 or 2,048 weights each.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.scaling import OUTS
from helpers.image_files import write_jpeg_images
from helpers.projects import ROOT, set_params
from helpers.timing import machine, run_python, write_results
from stages.reporting.markdown import duration, table
from stages.runtime.files import read_json

NETWORKS = ("own_cnn", "resnet50")
SIDES = (64, 224)  # pixels, of the images that networks see
SMALL, LARGE, PHOTOGRAPH = 500, 2_500, 433  # images, and pixels a side of a source's
EPOCHS, TRAINED, TESTED = 10, 0.595, 0.3  # shares of the images, as params.yaml has them
COPIES = 1

Constants = dict[str, float]  # milliseconds an image, of all the images there are; bytes an image


def main() -> None:
    """Measure the constants; print them, and what follows for large studies."""
    with TemporaryDirectory(prefix="cost_per_image.") as name:
        known = {side: constants(Path(name) / str(side), side) for side in SIDES}
    write_results("benchmarks/results/cost_per_image.json", known)
    names = {"prepare": 1.0, "augment": TRAINED * COPIES}
    names |= {f"train {name}": TRAINED for name in NETWORKS} | {f"evaluate {name}": TESTED for name in NETWORKS}
    of = {
        "prepare": "an image",
        "augment": "a copy",
        "train": "a training image and epoch",
        "evaluate": "a test image",
    }
    rows = [
        [
            name,
            of[name.split()[0]],
            *(f"{known[side][name] / share:.2f} ms" if name in known[side] else "" for side in SIDES),
        ]
        for name, share in names.items()
    ]
    print(f"{machine()}; prepare from {PHOTOGRAPH} pixels\n")
    print(table(["stage", "for", *(f"{side} pixels" for side in SIDES)], rows), "\n")
    head = [
        "images",
        "pixels",
        "prepare",
        "augment",
        *(f"train {name}" for name in NETWORKS),
        "decoded",
        "in the remote",
    ]
    print(table(head, [large(known, 10**power, side) for power in (4, 5, 6, 7) for side in SIDES]))


def constants(folder: Path, side: int) -> Constants:
    """Return what an image more costs in each stage, at so many pixels a side."""
    small, large = (dict(measured(folder / str(count), count, side)) for count in (SMALL, LARGE))
    return {name: (large[name] - small[name]) / (LARGE - SMALL) for name in small}


def measured(folder: Path, count: int, side: int) -> Iterator[tuple[str, float]]:
    """Yield the milliseconds of each stage on so many images, and the bytes of shards."""
    write_jpeg_images(folder / "images", count, PHOTOGRAPH)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="images")
    set_params(folder, prepare__duplicates="keep", study__hyperparameters=["default"], networks__own_cnn__epochs=1)
    set_params(folder, networks__resnet50__epochs=1, prepare__image_size=side)
    for stage, outs in OUTS.items():
        yield stage, 1e3 * run_python(folder, "-m", f"stages.{stage}")[0]
        shards: list[Any] = [path for out in outs for path in (folder / "data" / out).glob("*.parquet")]
        yield f"{stage} bytes", float(sum(path.stat().st_size for path in shards))
    for network in NETWORKS if side == SIDES[0] else ():
        (folder / f"data/pretrained/{network}").mkdir(parents=True)
        run_python(folder, "-m", "stages.tune", network)
        run_python(folder, "-m", "stages.train", network, "default", "original", "1")
        timing = read_json(folder / f"data/trained/{network}-default-original-1/timing.json")
        yield f"train {network}", 1e3 * float(timing["seconds"])
        yield (
            f"evaluate {network}",
            1e3 * run_python(folder, "-m", "stages.evaluate", network, "default", "original", "1")[0],
        )


def large(known: dict[int, Constants], images: int, side: int) -> list[str]:
    """Return a line of the table: what a study of so many photographs, of this many pixels a side, takes."""
    own, grown = known[side], (side / SIDES[0]) ** 2
    milliseconds = [own["prepare"], own["augment"]]
    milliseconds += [EPOCHS * grown * known[SIDES[0]][f"train {name}"] for name in NETWORKS]
    decoded = 3 * side * side * TRAINED * (1 + COPIES)
    stored = own["prepare bytes"] + own["augment bytes"]
    sizes = [f"{images * size / 1e9:,.1f} GB" for size in (decoded, stored)]
    return [f"{images:,}", str(side), *(duration(images * each / 1e3) for each in milliseconds), *sizes]


if __name__ == "__main__":
    main()
