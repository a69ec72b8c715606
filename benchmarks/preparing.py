"""Stages augment and prepare, beside what a plain script would call on one core: images/s.

    python -m benchmarks.preparing

Augment at the published study's 224 pixels against Albumentations' own Compose, of four transforms and with shift and
rotation as one, and against torchvision.transforms.v2, all with the same JPEG encoding, of images that are decoded
already; augment decodes and stores them as well. Prepare against Pillow opening, resizing and saving each file. Sides
take turns, five rounds each after one that does not count. The stages' time includes starting their workers; Python's
own start and imports are in benchmarks/pipeline.py. Scripts do fewer images a round: they have no start.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import yaml

from helpers.image_files import write_jpeg_images
from helpers.projects import ROOT, set_params
from helpers.timing import Pause, Side, Turn, machine, ratio, take_turns, write_results
from stages.augment import AugmentSettings
from stages.images.reading import decode, encode
from stages.images.shards import Row, ShardWriter, read_rows
from stages.reporting.markdown import table

ROUNDS, QUALITY = 5, 95
AUGMENTED, BY_SCRIPTS, SIZE = 12_000, 1_500, 224
PREPARED, WIDE = 1_000, 400
SCRIPTS = "1 core"  # how the names of the plain scripts end; the first of a kind is what the others are compared with


Sides = dict[str, tuple[Callable[..., None], tuple[Any, ...]]]


def main() -> None:
    """Measure both stages."""
    with TemporaryDirectory(prefix="preparing.") as name, ExitStack() as stack:
        folder = Path(name)
        files = make_images(folder / "small", AUGMENTED, SIZE)
        names = sorted({path.parent.name for path in files})
        with ShardWriter(folder / "data/original", names) as writer:
            for path in files:
                writer.add(Row(path.read_bytes(), f"{path.parent.name}/{path.name}", names.index(path.parent.name)))
        make_images(folder / "data/raw", PREPARED, WIDE)
        shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
        set_params(folder, augment__copies=1, prepare__image_size=SIZE)
        augmenting: Sides = {
            "augment, 2 workers": (stage, ("augment", 2)),
            "Albumentations, 1 core": (four_transforms, ()),
            "Albumentations, shift and rotation as one, 1 core": (three_transforms, ()),
            "torchvision v2, 1 core": (torchvision_v2, ()),
        }
        preparing: Sides = {
            "prepare, 2 workers": (stage, ("prepare", 2)),
            "prepare, 1 worker": (stage, ("prepare", 1)),
            "Pillow, 1 core": (pillow, ()),
        }
        turns: dict[str, list[Turn]] = {}
        for sides in (preparing, augmenting):
            started = {side: stack.enter_context(Side(work, folder, *more)) for side, (work, more) in sides.items()}
            turns |= take_turns(started, ROUNDS)
    write_results("benchmarks/results/preparing.json", turns)
    print(
        f"{machine()}; {AUGMENTED:,} copies of {SIZE} pixels, {BY_SCRIPTS:,} by scripts; {PREPARED:,} files of {WIDE}"
        f" pixels; {ROUNDS} rounds\n"
    )
    augmented = {name: BY_SCRIPTS if name.endswith(SCRIPTS) else AUGMENTED for name in augmenting}
    rows = rows_of(turns, augmented) + rows_of(turns, dict.fromkeys(preparing, PREPARED))
    print(table(["side", "images/s", "times the script on 1 core"], rows))


def rows_of(turns: dict[str, list[Turn]], counts: dict[str, int]) -> list[list[str]]:
    """Return a row for each side that made so many images a round: rate, and how many times the first script's."""
    each = {name: [turn.seconds / count for turn in turns[name]] for name, count in counts.items()}
    script = next(name for name in counts if name.endswith(SCRIPTS))
    return [[name, f"{1 / median(each[name]):,.0f}", f"{ratio(each[name], each[script]):.2f}"] for name in counts]


def make_images(folder: Path, count: int, size: int) -> list[Path]:
    """Write images; return their files."""
    folder.mkdir(parents=True)
    write_jpeg_images(folder, count, size)
    return sorted(folder.rglob("*.jpg"))


def stage(folder: Path, name: str, workers: int, pause: Pause) -> None:
    """Run a stage's `main` in a folder of its own that shares the images."""
    from importlib import import_module

    here = folder / f"{name}-{workers}"
    (here / "data").mkdir(parents=True)
    for shared in ("raw", "original"):
        if not (name == "prepare" and shared == "original"):
            (here / "data" / shared).symlink_to(folder / "data" / shared)
    shutil.copyfile(folder / "params.yaml", here / "params.yaml")
    os.chdir(here)
    os.environ["STUDY_WORKERS"] = str(workers)
    main_of_stage = import_module(f"stages.{name}").main
    while True:
        pause()
        main_of_stage()


def four_transforms(folder: Path, pause: Pause) -> None:
    """Alter and encode with Albumentations' transforms as its documentation shows: shift, rotation, hue, gamma."""
    import albumentations

    chosen = settings(folder)
    shift = albumentations.Affine(
        translate_percent=(-chosen.shift, chosen.shift), border_mode=cv2.BORDER_REFLECT_101, p=1
    )
    turn = albumentations.Affine(rotate=(-chosen.rotation, chosen.rotation), border_mode=cv2.BORDER_REFLECT_101, p=1)
    composed(folder, pause, [shift, turn])


def three_transforms(folder: Path, pause: Pause) -> None:
    """Do the same with shift and rotation in one interpolation, as augment does."""
    import albumentations

    chosen = settings(folder)
    move = albumentations.Affine(
        translate_percent=(-chosen.shift, chosen.shift),
        rotate=(-chosen.rotation, chosen.rotation),
        border_mode=cv2.BORDER_REFLECT_101,
        p=1,
    )
    composed(folder, pause, [move])


def composed(folder: Path, pause: Pause, moves: list[Any]) -> None:
    """Alter and encode each image with `moves`, then hue and gamma."""
    import albumentations

    cv2.setNumThreads(0)
    chosen = settings(folder)
    most = chosen.hue / 2  # of OpenCV's steps of two degrees
    hue = albumentations.HueSaturationValue((-most, most), 0, 0, p=1)
    gamma = albumentations.RandomGamma(tuple(round(100 * bound) for bound in chosen.gamma), p=1)
    transform = albumentations.Compose([*moves, hue, gamma])
    images = [decode(row.encoded) for row in rows(folder)]
    while True:
        pause()
        for image in images:
            encode(transform(image=image)["image"], QUALITY)


def torchvision_v2(folder: Path, pause: Pause) -> None:
    """Alter and encode each image with torchvision's transforms on Pillow's images."""
    from PIL import Image
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional

    chosen = settings(folder)
    rng = np.random.default_rng(1)
    move = v2.RandomAffine(chosen.rotation, (chosen.shift, chosen.shift), interpolation=v2.InterpolationMode.BILINEAR)
    colour = v2.ColorJitter(hue=chosen.hue / 360)
    images = [Image.open(BytesIO(row.encoded)).convert("RGB") for row in rows(folder)]
    while True:
        pause()
        for image in images:
            altered = functional.adjust_gamma(colour(move(image)), rng.uniform(*chosen.gamma))
            altered.save(BytesIO(), "jpeg", quality=QUALITY, subsampling=0)


def pillow(folder: Path, pause: Pause) -> None:
    """Open, resize and save each file."""
    from PIL import Image

    files = sorted((folder / "data/raw").rglob("*.jpg"))
    while True:
        pause()
        for path in files:
            with Image.open(path) as image:
                image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(
                    BytesIO(), "jpeg", quality=QUALITY
                )


def settings(folder: Path) -> AugmentSettings:
    """Return params.yaml's section `augment`."""
    return AugmentSettings(**yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["augment"])


def rows(folder: Path) -> list[Row]:
    """Return the images that scripts alter."""
    return list(islice(read_rows(folder / "data/original"), BY_SCRIPTS))


if __name__ == "__main__":
    main()
