"""Stage prepare: split the pictures, resize each once, and write them as shards."""

import hashlib
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
from pydantic import Field, NonNegativeInt

from stages.lib.command import run_stage
from stages.lib.duplicates import Leaks, Place
from stages.lib.files import finished_folder, write_csv
from stages.lib.parallel import ordered_map
from stages.lib.params import Section, read
from stages.lib.pictures import BadPicture, encode, load, resized
from stages.lib.problems import Problem
from stages.lib.shards import Row, ShardWriter
from stages.lib.streams import stream_seed

# Folders below data/; `original` is what networks train on. The test set comes first: of two pictures that are alike,
# the later is the copy
SPLITS = ("test", "validation", "original")


class Settings(Section):
    """params.yaml's section `prepare`."""

    image_size: int = Field(ge=32, le=1024)
    validation_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    jpeg_quality: int = Field(ge=1, le=100)
    pixel_limit: int = Field(ge=1)
    on_bad_image: Literal["error", "skip"]
    duplicates: Literal["error", "drop", "keep"]


class Prepared(NamedTuple):
    """A picture as the shards keep it, and a digest of its pixels before they were resized."""

    encoded: bytes
    digest: bytes


class Skipped(NamedTuple):
    """A file that held no picture that can be used."""

    place: Place
    reason: str


def main() -> None:
    """Split the pictures, resize each once, and write them as shards."""
    settings = read("prepare", Settings)
    places = split(Path("data/raw"), settings, read("seed", NonNegativeInt))
    class_names = sorted({place.class_name for place in places})
    labels = {name: label for label, name in enumerate(class_names)}
    skipped: list[Skipped] = []
    leaks = Leaks(settings.duplicates)
    with ExitStack() as stack:
        folders = {name: stack.enter_context(finished_folder(f"data/{name}")) for name in SPLITS}
        writers = {name: stack.enter_context(ShardWriter(folders[name], class_names)) for name in SPLITS}
        results = ordered_map(partial(prepared, settings=settings), places, "prepare")
        for place, result in zip(places, results, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
            elif not leaks.drops(place, result.digest):
                path = place.file.relative_to("data/raw").as_posix()
                writers[place.split].add(Row(result.encoded, path, labels[place.class_name]))
        complain(places, skipped, leaks, settings)
    write_csv(
        "data/skipped.csv", ["file", "reason"], ({"file": bad.place.file, "reason": bad.reason} for bad in skipped)
    )
    write_csv(
        "data/duplicates.csv",
        ["file", "same_as", "dropped"],
        ({"file": twins.place.file, "same_as": twins.twin.file, "dropped": twins.dropped} for twins in leaks.found),
    )


def prepared(place: Place, settings: Settings) -> Prepared | Skipped:
    """Return the picture resized, as JPEG, or why it cannot be used."""
    cv2.setNumThreads(0)  # the processes already use every core
    try:
        picture = load(place.file, settings.pixel_limit)
    except BadPicture as bad:
        return Skipped(place, str(bad))
    digest = hashlib.blake2b(picture.tobytes() + repr(picture.shape).encode(), digest_size=16).digest()
    return Prepared(encode(resized(picture, settings.image_size), settings.jpeg_quality), digest)


def split(raw: Path, settings: Settings, seed: int) -> list[Place]:
    """Return where each file below `raw` goes, split by split and class by class.

    Files keep the source's own train/ and test/ where it has them; otherwise each class gives `test_fraction`. Then
    `validation_fraction` of each class's training files become validation. Which ones depends on the seed and each
    file's name, not on the order of files. Raises Problem where a class is too small for that.
    """
    official = {entry.name for entry in raw.iterdir()} == {"train", "test"}
    training = _files_by_class(raw / "train" if official else raw)
    test = _files_by_class(raw / "test") if official else {}
    places = [Place(file, name, "test") for name, files in test.items() for file in files]
    problems = []
    for name, files in training.items():
        shuffled = sorted(files, key=lambda file: stream_seed(seed, "split", file.relative_to(raw).as_posix()))
        test_count = 0 if official else _share(len(files), settings.test_fraction)
        validation_count = _share(len(files) - test_count, settings.validation_fraction)
        counts = {"test": test_count, "validation": validation_count}
        if test_count + validation_count >= len(files):
            problems.append(_too_few(name, len(files), settings, official=official))
        names = [part for part, count in counts.items() for _ in range(count)]
        names += ["original"] * (len(files) - len(names))
        places += [Place(file, name, part) for file, part in zip(shuffled, names, strict=False)]
    if problems:
        raise Problem(*problems)
    return sorted(places, key=lambda place: SPLITS.index(place.split))


def complain(places: list[Place], skipped: list[Skipped], leaks: Leaks, settings: Settings) -> None:
    """Raise Problem for files that may not be skipped, copies that may not be there, and classes left empty."""
    lines = []
    if skipped and settings.on_bad_image == "error":
        lines += [f"{bad.place.file}: {bad.reason}" for bad in skipped]
        lines.append("mend or remove these files at their source, or set prepare.on_bad_image: skip")
    if leaks.found and settings.duplicates == "error":
        lines += [str(duplicate) for duplicate in leaks.found]
        lines.append("remove these copies at their source, or set prepare.duplicates: drop")
    left = Counter(place[1:] for place in places)
    left.subtract(bad.place[1:] for bad in skipped)
    left.subtract(duplicate.place[1:] for duplicate in leaks.found if duplicate.dropped)
    if not lines and (empty := sorted(key for key, count in left.items() if not count)):
        lines += [
            f"data/raw: class {name!r} has no {part} picture left without bad files and copies" for name, part in empty
        ]
        lines.append("add pictures to these classes or leave them out of dataset.classes")
    if lines:
        raise Problem(*lines)


def _too_few(name: str, count: int, settings: Settings, *, official: bool) -> str:
    needed = 2 if official else 3
    reason = f"but needs at least {needed} {'training pictures' if official else 'pictures'}"
    if count >= needed:
        reason = "and the test's and validation's shares leave none to train on"
    return (
        f"data/raw: class {name!r} has {count}, {reason} (params.yaml: prepare.test_fraction ="
        f" {settings.test_fraction}, validation_fraction = {settings.validation_fraction}); add pictures, set smaller"
        " fractions, or leave the class out of dataset.classes"
    )


def _files_by_class(folder: Path) -> dict[str, list[Path]]:
    return {
        entry.name: sorted(file for file in entry.rglob("*") if file.is_file())
        for entry in sorted(folder.iterdir())
        if entry.is_dir()
    }


def _share(count: int, fraction: float) -> int:
    return max(1, round(count * fraction))


if __name__ == "__main__":
    run_stage(main)
