"""Stage prepare: split the images, resize each once, and write them as shards."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
from pydantic import Field, NonNegativeInt

from stages.datasets.splits.duplicates import COLUMNS, DuplicateFinder, Policy
from stages.datasets.splits.splitting import TEST_FIRST, ImageFile, SplitSettings, origins, split
from stages.images import shards
from stages.images.perceptual_hash import MAX_DISTANCE, perceptual_hash
from stages.images.preparation import PIXEL_LIMIT, Preparation
from stages.images.raw_folder import BAD_FILES, LABELS, SMALL_CLASSES, fetch_table
from stages.images.reading import INTERPOLATION, FitMode, UnreadableImage, load, width_and_height
from stages.images.shards import Row, ShardWriter, class_names, read_rows, row_count
from stages.images.white_level import find_white_level
from stages.runtime.command import run_stage
from stages.runtime.config import read_section
from stages.runtime.dask_cluster import cluster_map
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, write_csv, write_json
from stages.runtime.names import natural_order

RAW = Path("data/raw")


class PrepareSettings(SplitSettings):
    """params.yaml's section `prepare`."""

    image_size: int = Field(default=224, ge=32, le=1024)
    fit: FitMode = "crop"
    white_level: Literal["auto"] | Annotated[int, Field(ge=255, le=65535)] = "auto"
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    pixel_limit: int = Field(default=PIXEL_LIMIT, ge=1)
    on_bad_image: Literal["error", "skip"] = "error"
    duplicates: Policy = "drop"
    near_duplicate_distance: Literal["none"] | Annotated[int, Field(ge=0, le=MAX_DISTANCE)] = "none"


class Prepared(NamedTuple):
    """An image as the shards keep it; and of its pixels before it was resized a digest and the perceptual hash."""

    encoded: bytes
    digest: bytes
    perceptual_hash: bytes


class Skipped(NamedTuple):
    """A file that held no image that can be used."""

    file: ImageFile
    reason: str


def main() -> None:
    """Split the images, resize each once, and write them as shards."""
    settings = read_section("prepare", PrepareSettings)
    files = split(RAW, settings, read_section("seed", NonNegativeInt))
    unreadable, of_no_class = unreadable_files()
    preparation = preparation_for([file.path for file in files if file.path not in unreadable], settings)
    duplicates = DuplicateFinder(settings.duplicates, settings.near_duplicate_distance)
    with ExitStack() as stack:
        folders = {name: stack.enter_context(atomic_folder(f"data/{name}")) for name in TEST_FIRST}
        skipped = of_no_class + write_shards(folders, files, duplicates, preparation, unreadable)
        duplicates.find_near()
        check(files, skipped, duplicates, settings)
        finish_shards(folders, files, duplicates)
    if skipped:
        print(f"left out {len(skipped):,} bad files: data/skipped.csv")
    left = set(files) - {bad.file for bad in skipped} - duplicates.dropped()
    rows = ({"file": bad.file.path, "reason": bad.reason} for bad in skipped)
    write_csv("data/skipped.csv", ["file", "reason"], rows)
    write_csv("data/duplicates.csv", COLUMNS, (duplicate.row() for duplicate in duplicates.found))
    write_json("data/composition.json", composition(left, duplicates, settings, preparation))


def unreadable_files() -> tuple[dict[Path, str], list[Skipped]]:
    """Return why fetch could not read which files, and apart from them what belongs to no class."""
    rows = fetch_table(RAW, BAD_FILES)
    of_no_class = [Skipped(ImageFile(RAW / row["file"], "", ""), row["reason"]) for row in rows if not row["class"]]
    return {RAW / row["file"]: row["reason"] for row in rows if row["class"]}, of_no_class


def preparation_for(paths: list[Path], settings: PrepareSettings) -> Preparation:
    """Return how these images are prepared: as the settings say, but none enlarged if all of them are smaller.

    A set's images have one size: that of the settings or, where it is less, the largest short side among them (with
    `fit: pad` the largest long side). Networks enlarge them as they read them.
    """
    side, largest = max if settings.fit == "pad" else min, 0
    for path in paths:
        largest = max(largest, side(width_and_height(path, settings.pixel_limit)))
        if largest >= settings.image_size:
            break
    size = min(settings.image_size, largest or settings.image_size)
    white = settings.white_level
    if white == "auto":
        white = find_white_level(paths, settings.pixel_limit)
    return Preparation(size, settings.fit, settings.jpeg_quality, white, settings.pixel_limit)


def write_shards(
    folders: Mapping[str, Path],
    files: list[ImageFile],
    duplicates: DuplicateFinder,
    preparation: Preparation,
    unreadable: Mapping[Path, str],
) -> list[Skipped]:
    """Write the shards of each split to its folder, without exact copies; return what held no image."""
    names = natural_order(file.class_name for file in files)
    labels = {name: label for label, name in enumerate(names)}
    skipped = []
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(
                ShardWriter(folder, names, preparation=asdict(preparation) | {"interpolation": INTERPOLATION})
            )
            for split, folder in folders.items()
        }
        make = partial(prepared, preparation=preparation, unreadable=unreadable)
        results = cluster_map(make, files, "prepare", reads=partial(path_to_read, unreadable=unreadable))
        for file, result in zip(files, results, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
            elif duplicates.add(file, result.digest, result.perceptual_hash):
                row = Row(result.encoded, path_in_shards(file), labels[file.class_name], group=file.group)
                writers[file.split].add(row)
    return skipped


def path_to_read(file: ImageFile, unreadable: Mapping[Path, str]) -> Path | None:
    """Return the file that `prepared` reads; None for one that fetch could not read."""
    return None if file.path in unreadable else file.path


def path_in_shards(file: ImageFile) -> str:
    """Return the name of an image in its shard."""
    return file.path.relative_to(RAW).as_posix()


def prepared(file: ImageFile, preparation: Preparation, unreadable: Mapping[Path, str]) -> Prepared | Skipped:
    """Return the image resized, as JPEG, or why it cannot be used; `unreadable` says why fetch could not read files."""
    if file.path in unreadable:
        return Skipped(file, unreadable[file.path])
    cv2.setNumThreads(0)  # the processes already use every core
    try:
        image = load(file.path, preparation.pixel_limit, preparation.white_level)
    except UnreadableImage as bad:
        return Skipped(file, str(bad))
    digest = hashlib.blake2b(image.tobytes() + repr(image.shape).encode(), digest_size=16).digest()
    return Prepared(preparation.stored(image), digest, perceptual_hash(image))


def finish_shards(folders: Mapping[str, Path], files: list[ImageFile], duplicates: DuplicateFinder) -> None:
    """Write the shards anew from which near copies are dropped, or in which images that look alike become a group."""
    dropped = {path_in_shards(file) for file in duplicates.dropped()}
    groups = {path_in_shards(file): group for file, group in duplicates.groups(files).items() if group != file.group}
    for folder in folders.values():
        if any(row.path in dropped or row.path in groups for row in read_rows(folder)):
            names, noted = class_names(folder), shards.preparation(folder)
            with atomic_folder(folder) as finished, ShardWriter(finished, names, preparation=noted) as writer:
                for row in read_rows(folder):
                    if row.path not in dropped:
                        writer.add(row._replace(group=groups.get(row.path, row.group)))


def composition(
    files: set[ImageFile], duplicates: DuplicateFinder, settings: PrepareSettings, preparation: Preparation
) -> dict[str, Any]:
    """Return how many images each split has and where they come from, what was white, and the classes left out.

    Of validation and test also the share of images that look like one that is trained on: it makes scores lie. And
    whose labels a person has confirmed.
    """
    splits: dict[str, dict[str, Any]] = {
        name: {"origin": origin, "images": row_count(f"data/{name}")} for name, origin in origins(RAW, settings).items()
    }
    for name in ("validation", "test"):
        of_split = [file for file in files if file.split == name]
        splits[name]["share_copied_in_training"] = duplicates.share_copied_in_training(of_split)
    return {
        "white_level": preparation.white_level,
        "image_size": preparation.image_size,
        "left_out_classes": {row["class"]: int(row["images"]) for row in fetch_table(RAW, SMALL_CLASSES)},
        "splits": splits,
        "confirmed_labels": [row["file"] for row in fetch_table(RAW, LABELS) if row.get("confirmed")],
    }


def check(
    files: list[ImageFile], skipped: list[Skipped], duplicates: DuplicateFinder, settings: PrepareSettings
) -> None:
    """Raise UserError for files that may not be skipped, copies that may not be there, and classes left empty."""
    lines = []
    if skipped and settings.on_bad_image == "error":
        lines += [f"{bad.file.path}: {bad.reason}" for bad in skipped]
        lines.append(
            "data/raw is a copy: mend or remove these files where it was copied from, or set prepare.on_bad_image: skip"
        )
    if refused := duplicates.refused():
        lines += [str(duplicate) for duplicate in refused]
        lines.append("remove these copies at their source, or set prepare.duplicates: drop")
    left = Counter(file.stratum for file in files)
    left.subtract(bad.file.stratum for bad in skipped)
    left.subtract(file.stratum for file in duplicates.dropped())
    if not lines and (empty := sorted(stratum for stratum, count in left.items() if not count)):
        lines += [
            f"data/raw: class {name!r} has no {split_name} image left without bad files and copies"
            for name, split_name in empty
        ]
        lines.append(
            "add images to these classes, or leave them out by dataset.classes or dataset.min_images_per_class"
        )
    if lines:
        raise UserError(*lines)


if __name__ == "__main__":
    run_stage(main)
