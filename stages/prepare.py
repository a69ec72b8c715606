"""Stage prepare: split the pictures, resize each once, and write them as shards."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
from pydantic import Field, NonNegativeInt

from stages.datasets.splits.duplicates import COLUMNS, Duplicates, Place, Policy
from stages.datasets.splits.splitting import SPLITS, Splitting, origins, split, table_of
from stages.images.perceptual_hash import FURTHEST, likeness
from stages.images.reading import BadPicture, Fit, encode, load, resized
from stages.images.shards import Row, ShardWriter, read_rows, row_count
from stages.images.shards import class_names as class_names_of
from stages.images.white_level import white_level
from stages.runtime.command import run_stage
from stages.runtime.config import read
from stages.runtime.dask_cluster import spread_map
from stages.runtime.errors import Problem
from stages.runtime.files import finished_folder, write_csv, write_json
from stages.runtime.names import in_order


class Settings(Splitting):
    """params.yaml's section `prepare`."""

    image_size: int = Field(ge=32, le=1024)
    fit: Fit
    white_level: Literal["auto"] | Annotated[int, Field(ge=255, le=65535)]
    jpeg_quality: int = Field(ge=1, le=100)
    pixel_limit: int = Field(ge=1)
    on_bad_picture: Literal["error", "skip"]
    duplicates: Policy
    duplicates_within: Literal["none"] | Annotated[int, Field(ge=0, le=FURTHEST)]


class Prepared(NamedTuple):
    """A picture as the shards keep it, and of it before it was resized: a digest of its pixels, and its likeness."""

    encoded: bytes
    digest: bytes
    likeness: bytes


class Skipped(NamedTuple):
    """A file that held no picture that can be used."""

    place: Place
    reason: str


def main() -> None:
    """Split the pictures, resize each once, and write them as shards."""
    settings, raw = read("prepare", Settings), Path("data/raw")
    places = split(raw, settings, read("seed", NonNegativeInt))
    bad = [Skipped(Place(raw / row["file"], row["class"], ""), row["reason"]) for row in table_of(raw, "bad_files")]
    faults = {each.place.file: each.reason for each in bad if each.place.class_name}
    skipped = [each for each in bad if not each.place.class_name]
    duplicates = Duplicates(settings.duplicates)
    if settings.white_level == "auto":
        found = white_level([place.file for place in places if place.file not in faults], settings.pixel_limit)
        settings = settings.model_copy(update={"white_level": found})
    with ExitStack() as stack:
        folders = {name: stack.enter_context(finished_folder(f"data/{name}")) for name in SPLITS}
        skipped += write_shards(folders, places, duplicates, settings, faults)
        near = duplicates.find_near(-1 if settings.duplicates_within == "none" else settings.duplicates_within)
        complain(places, skipped, duplicates, settings)
        for name in {place.split for place in near}:
            leave_out(folders[name], {path_in_shards(place) for place in near})
    write_csv(
        "data/skipped.csv", ["file", "reason"], ({"file": each.place.file, "reason": each.reason} for each in skipped)
    )
    write_csv("data/duplicates.csv", COLUMNS, (duplicate.row() for duplicate in duplicates.found))
    write_json("data/composition.json", composition(raw, settings))


def write_shards(
    folders: Mapping[str, Path],
    places: list[Place],
    duplicates: Duplicates,
    settings: Settings,
    faults: Mapping[Path, str],
) -> list[Skipped]:
    """Write the shards of each split to its folder, without exact copies; return what held no picture."""
    class_names = in_order(place.class_name for place in places)
    labels = {name: label for label, name in enumerate(class_names)}
    skipped = []
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ShardWriter(folders[name], class_names)) for name in SPLITS}
        make = partial(prepared, settings=settings, faults=faults)
        results = spread_map(make, places, "prepare", reads=partial(file_of, faults=faults))
        for place, result in zip(places, results, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
            elif not duplicates.drops(place, result.digest, result.likeness):
                writers[place.split].add(Row(result.encoded, path_in_shards(place), labels[place.class_name]))
    return skipped


def file_of(place: Place, faults: Mapping[Path, str]) -> Path | None:
    """Return the file that `prepared` reads; None for one that fetch could not read."""
    return None if place.file in faults else place.file


def path_in_shards(place: Place) -> str:
    """Return the name of a picture in its shard."""
    return place.file.relative_to("data/raw").as_posix()


def leave_out(folder: Path, paths: set[str]) -> None:
    """Write a folder of shards anew without some of its pictures."""
    with finished_folder(folder) as smaller, ShardWriter(smaller, class_names_of(folder)) as writer:
        for row in read_rows(folder):
            if row.path not in paths:
                writer.add(row)


def prepared(place: Place, settings: Settings, faults: Mapping[Path, str]) -> Prepared | Skipped:
    """Return the picture resized, as JPEG, or why it cannot be used; `faults` says why fetch could not read files."""
    if place.file in faults:
        return Skipped(place, faults[place.file])
    cv2.setNumThreads(0)  # the processes already use every core
    try:
        picture = load(place.file, settings.pixel_limit, int(settings.white_level))
    except BadPicture as bad:
        return Skipped(place, str(bad))
    digest = hashlib.blake2b(picture.tobytes() + repr(picture.shape).encode(), digest_size=16).digest()
    encoded = encode(resized(picture, settings.image_size, settings.fit), settings.jpeg_quality)
    return Prepared(encoded, digest, likeness(picture))


def composition(raw: Path, settings: Settings) -> dict[str, Any]:
    """Return how many pictures each split has and where they come from, what was white, and the classes left out."""
    return {
        "white_level": settings.white_level,
        "left_out_classes": {row["class"]: int(row["pictures"]) for row in table_of(raw, "small_classes")},
        "splits": {
            name: {"origin": origin, "pictures": row_count(f"data/{name}")}
            for name, origin in origins(raw, settings).items()
        },
    }


def complain(places: list[Place], skipped: list[Skipped], duplicates: Duplicates, settings: Settings) -> None:
    """Raise Problem for files that may not be skipped, copies that may not be there, and classes left empty."""
    lines = []
    if skipped and settings.on_bad_picture == "error":
        lines += [f"{bad.place.file}: {bad.reason}" for bad in skipped]
        lines.append("mend or remove these files at their source, or set prepare.on_bad_picture: skip")
    within = -1 if settings.duplicates_within == "none" else settings.duplicates_within
    if refused := duplicates.refused(within):
        lines += [str(duplicate) for duplicate in refused]
        lines.append("remove these copies at their source, or set prepare.duplicates: drop")
    left = Counter(place[1:] for place in places)
    left.subtract(bad.place[1:] for bad in skipped)
    left.subtract(duplicate.place[1:] for duplicate in duplicates.found if duplicate.dropped)
    if not lines and (empty := sorted(key for key, count in left.items() if not count)):
        lines += [
            f"data/raw: class {name!r} has no {part} picture left without bad files and copies" for name, part in empty
        ]
        lines.append("add pictures to these classes, or leave them out by dataset.classes or dataset.smallest_class")
    if lines:
        raise Problem(*lines)


if __name__ == "__main__":
    run_stage(main)
