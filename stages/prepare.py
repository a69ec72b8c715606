"""Stage prepare: split the pictures, resize each once, and write them as shards."""

from collections import defaultdict
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
from pydantic import Field, NonNegativeInt

from stages.lib.command import run_stage
from stages.lib.files import finished_folder, write_csv
from stages.lib.parallel import ordered_map
from stages.lib.params import Section, read
from stages.lib.pictures import BadPicture, encode, load, resized
from stages.lib.problems import Problem
from stages.lib.shards import Row, ShardWriter
from stages.lib.streams import stream_seed

SPLITS = ("original", "validation", "test")  # folders below data/; `original` is what the networks train on


class Settings(Section):
    """params.yaml's section `prepare`."""

    image_size: int = Field(ge=32, le=1024)
    validation_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    jpeg_quality: int = Field(ge=1, le=100)
    pixel_limit: int = Field(ge=1)
    on_bad_image: Literal["error", "skip"]


class Source(NamedTuple):
    """A file in data/raw and where its picture goes."""

    file: Path
    class_name: str
    split: str

    @property
    def path(self) -> str:
        """The picture's name in the shards: its place below data/raw."""
        return self.file.relative_to("data/raw").as_posix()


class Skipped(NamedTuple):
    """A file that held no picture that can be used."""

    file: Path
    reason: str


def main() -> None:
    """Split the pictures, resize each once, and write them as shards."""
    settings = read("prepare", Settings)
    sources = split(Path("data/raw"), settings, read("seed", NonNegativeInt))
    class_names = sorted({source.class_name for source in sources})
    labels = {name: label for label, name in enumerate(class_names)}
    skipped: list[Skipped] = []
    with ExitStack() as stack:
        folders = {name: stack.enter_context(finished_folder(f"data/{name}")) for name in SPLITS}
        writers = {name: stack.enter_context(ShardWriter(folders[name], class_names)) for name in SPLITS}
        prepared = ordered_map(partial(prepare, settings=settings), sources, "prepare")
        for source, result in zip(sources, prepared, strict=True):
            if isinstance(result, Skipped):
                skipped.append(result)
            else:
                writers[source.split].add(Row(result, source.path, labels[source.class_name]))
        complain(skipped, sources, settings)
    write_csv("data/skipped.csv", ["file", "reason"], (bad._asdict() for bad in skipped))


def prepare(source: Source, settings: Settings) -> bytes | Skipped:
    """Return the picture resized, as JPEG, or why it cannot be used."""
    cv2.setNumThreads(0)  # the processes already use every core
    try:
        picture = load(source.file, settings.pixel_limit)
    except BadPicture as bad:
        return Skipped(source.file, str(bad))
    return encode(resized(picture, settings.image_size), settings.jpeg_quality)


def split(raw: Path, settings: Settings, seed: int) -> list[Source]:
    """Return where each file below `raw` goes, class by class.

    Files keep the source's own train/ and test/ where it has them; otherwise each class gives `test_fraction`. Then
    `validation_fraction` of each class's training files become validation. Which ones depends on the seed and each
    file's name, not on the order of files. Raises Problem where a class is too small for that.
    """
    official = {entry.name for entry in raw.iterdir()} == {"train", "test"}
    training = _files_by_class(raw / "train" if official else raw)
    test = _files_by_class(raw / "test") if official else {}
    sources, problems = [], []
    for name, files in training.items():
        shuffled = sorted(files, key=lambda file: stream_seed(seed, "split", file.relative_to(raw).as_posix()))
        test_count = 0 if official else _share(len(files), settings.test_fraction)
        validation_count = _share(len(files) - test_count, settings.validation_fraction)
        bounds = {"test": test_count, "validation": test_count + validation_count, "original": len(files)}
        if bounds["original"] <= bounds["validation"]:
            needed = "2 training pictures" if official else "3 pictures"
            problems.append(
                f"data/raw: class {name!r} has {len(files)}, but needs at least {needed} (params.yaml:"
                f" prepare.test_fraction = {settings.test_fraction}, validation_fraction ="
                f" {settings.validation_fraction}); add pictures or leave the class out of dataset.classes"
            )
        start = 0
        for part, end in bounds.items():
            sources += [Source(file, name, part) for file in shuffled[start:end]]
            start = end
        sources += [Source(file, name, "test") for file in test.get(name, [])]
    if problems:
        raise Problem(*problems)
    return sources


def complain(skipped: list[Skipped], sources: list[Source], settings: Settings) -> None:
    """Raise Problem for files that may not be skipped, or whose absence empties a class."""
    if skipped and settings.on_bad_image == "error":
        lines = [f"{bad.file}: {bad.reason}" for bad in skipped]
        raise Problem(*lines, "mend or remove these files at their source, or set prepare.on_bad_image: skip")
    gone = {bad.file for bad in skipped}
    left: dict[tuple[str, str], int] = defaultdict(int)
    for source in sources:
        left[source.class_name, source.split] += source.file not in gone
    if empty := [key for key, count in left.items() if not count]:
        raise Problem(
            *(f"data/raw: class {name!r} has no {part} picture left after skipping bad files" for name, part in empty),
            "add pictures to these classes or leave them out of dataset.classes",
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
