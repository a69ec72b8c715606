"""Stage prepare: split the images, resize each once, and write them as shards."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
from pydantic import Field, NonNegativeInt

from stages.datasets.splits.duplicates import COLUMNS, Duplicates, Policy, SplitFile
from stages.datasets.splits.splitting import SPLITS, Splitting, origins, split, table_of
from stages.images.perceptual_hash import MAX_DISTANCE, perceptual_hash
from stages.images.reading import FitMode, UnreadableImage, encode, load, resized
from stages.images.shards import Row, ShardWriter, read_rows, row_count
from stages.images.shards import class_names as class_names_of
from stages.images.white_level import white_level
from stages.runtime.command import run_stage
from stages.runtime.config import read_section
from stages.runtime.dask_cluster import cluster_map
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, write_csv, write_json
from stages.runtime.names import natural_order


class Settings(Splitting):
    """params.yaml's section `prepare`."""

    image_size: int = Field(ge=32, le=1024)
    fit: FitMode
    white_level: Literal["auto"] | Annotated[int, Field(ge=255, le=65535)]
    jpeg_quality: int = Field(ge=1, le=100)
    pixel_limit: int = Field(ge=1)
    on_bad_image: Literal["error", "skip"]
    duplicates: Policy
    near_duplicate_distance: Literal["none"] | Annotated[int, Field(ge=0, le=MAX_DISTANCE)]


class Prepared(NamedTuple):
    """An image as the shards keep it; and of its pixels before it was resized a digest and the perceptual hash."""

    encoded: bytes
    digest: bytes
    perceptual_hash: bytes


class Skipped(NamedTuple):
    """A file that held no image that can be used."""

    split_file: SplitFile
    reason: str


def main() -> None:
    """Split the images, resize each once, and write them as shards."""
    settings, raw = read_section("prepare", Settings), Path("data/raw")
    split_files = split(raw, settings, read_section("seed", NonNegativeInt))
    bad = [Skipped(SplitFile(raw / row["file"], row["class"], ""), row["reason"]) for row in table_of(raw, "bad_files")]
    faults = {each.split_file.file: each.reason for each in bad if each.split_file.class_name}
    skipped = [each for each in bad if not each.split_file.class_name]
    duplicates = Duplicates(settings.duplicates)
    if settings.white_level == "auto":
        found = white_level(
            [split_file.file for split_file in split_files if split_file.file not in faults], settings.pixel_limit
        )
        settings = settings.model_copy(update={"white_level": found})
    with ExitStack() as stack:
        folders = {name: stack.enter_context(atomic_folder(f"data/{name}")) for name in SPLITS}
        skipped += write_shards(folders, split_files, duplicates, settings, faults)
        near = duplicates.find_near(
            -1 if settings.near_duplicate_distance == "none" else settings.near_duplicate_distance
        )
        complain(split_files, skipped, duplicates, settings)
        for name in {split_file.split for split_file in near}:
            leave_out(folders[name], {path_in_shards(split_file) for split_file in near})
    write_csv(
        "data/skipped.csv",
        ["file", "reason"],
        ({"file": each.split_file.file, "reason": each.reason} for each in skipped),
    )
    write_csv("data/duplicates.csv", COLUMNS, (duplicate.row() for duplicate in duplicates.found))
    write_json("data/composition.json", composition(raw, settings))


def write_shards(
    folders: Mapping[str, Path],
    split_files: list[SplitFile],
    duplicates: Duplicates,
    settings: Settings,
    faults: Mapping[Path, str],
) -> list[Skipped]:
    """Write the shards of each split to its folder, without exact copies; return what held no image."""
    class_names = natural_order(split_file.class_name for split_file in split_files)
    labels = {name: label for label, name in enumerate(class_names)}
    skipped = []
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ShardWriter(folders[name], class_names)) for name in SPLITS}
        make = partial(prepared, settings=settings, faults=faults)
        results = cluster_map(make, split_files, "prepare", reads=partial(file_of, faults=faults))
        for split_file, result in zip(split_files, results, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
            elif not duplicates.drops(split_file, result.digest, result.perceptual_hash):
                writers[split_file.split].add(
                    Row(result.encoded, path_in_shards(split_file), labels[split_file.class_name])
                )
    return skipped


def file_of(split_file: SplitFile, faults: Mapping[Path, str]) -> Path | None:
    """Return the file that `prepared` reads; None for one that fetch could not read."""
    return None if split_file.file in faults else split_file.file


def path_in_shards(split_file: SplitFile) -> str:
    """Return the name of an image in its shard."""
    return split_file.file.relative_to("data/raw").as_posix()


def leave_out(folder: Path, paths: set[str]) -> None:
    """Write a folder of shards anew without some of its images."""
    with atomic_folder(folder) as smaller, ShardWriter(smaller, class_names_of(folder)) as writer:
        for row in read_rows(folder):
            if row.path not in paths:
                writer.add(row)


def prepared(split_file: SplitFile, settings: Settings, faults: Mapping[Path, str]) -> Prepared | Skipped:
    """Return the image resized, as JPEG, or why it cannot be used; `faults` says why fetch could not read files."""
    if split_file.file in faults:
        return Skipped(split_file, faults[split_file.file])
    cv2.setNumThreads(0)  # the processes already use every core
    try:
        image = load(split_file.file, settings.pixel_limit, int(settings.white_level))
    except UnreadableImage as bad:
        return Skipped(split_file, str(bad))
    digest = hashlib.blake2b(image.tobytes() + repr(image.shape).encode(), digest_size=16).digest()
    encoded = encode(resized(image, settings.image_size, settings.fit), settings.jpeg_quality)
    return Prepared(encoded, digest, perceptual_hash(image))


def composition(raw: Path, settings: Settings) -> dict[str, Any]:
    """Return how many images each split has and where they come from, what was white, and the classes left out."""
    return {
        "white_level": settings.white_level,
        "left_out_classes": {row["class"]: int(row["images"]) for row in table_of(raw, "small_classes")},
        "splits": {
            name: {"origin": origin, "images": row_count(f"data/{name}")}
            for name, origin in origins(raw, settings).items()
        },
    }


def complain(split_files: list[SplitFile], skipped: list[Skipped], duplicates: Duplicates, settings: Settings) -> None:
    """Raise UserError for files that may not be skipped, copies that may not be there, and classes left empty."""
    lines = []
    if skipped and settings.on_bad_image == "error":
        lines += [f"{bad.split_file.file}: {bad.reason}" for bad in skipped]
        lines.append("mend or remove these files at their source, or set prepare.on_bad_image: skip")
    within = -1 if settings.near_duplicate_distance == "none" else settings.near_duplicate_distance
    if refused := duplicates.refused(within):
        lines += [str(duplicate) for duplicate in refused]
        lines.append("remove these copies at their source, or set prepare.duplicates: drop")
    left = Counter(split_file[1:] for split_file in split_files)
    left.subtract(bad.split_file[1:] for bad in skipped)
    left.subtract(duplicate.split_file[1:] for duplicate in duplicates.found if duplicate.dropped)
    if not lines and (empty := sorted(key for key, count in left.items() if not count)):
        lines += [
            f"data/raw: class {name!r} has no {part} image left without bad files and copies" for name, part in empty
        ]
        lines.append(
            "add images to these classes, or leave them out by dataset.classes or dataset.min_images_per_class"
        )
    if lines:
        raise UserError(*lines)


if __name__ == "__main__":
    run_stage(main)
