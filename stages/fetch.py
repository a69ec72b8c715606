"""Stage fetch: bring the images, a folder per class."""

from collections import Counter
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator, NonNegativeInt, create_model

from stages import datasets
from stages.datasets.common.archives import Limits
from stages.datasets.common.selection import Classes, MaxImages, Selection
from stages.images.raw_folder import SMALL_CLASSES, SPLIT_FOLDERS, files_by_class
from stages.images.shards import SPLITS
from stages.runtime.command import run_stage
from stages.runtime.config import Section, read_section
from stages.runtime.files import atomic_folder, write_csv
from stages.runtime.names import natural_order, printable

SHOWN_CLASSES = 12


def main() -> None:
    """Bring the images, a folder per class."""
    name = read_section("dataset.source", Source)
    source = source_module(name)
    settings = read_section(f"dataset.{name}", source.Settings)
    selection = Selection(
        read_section("dataset.classes", CLASSES),
        read_section("dataset.max_images_per_class", MaxImages),
        read_section("dataset.limits", Limits),
        read_section("dataset.min_images_per_class", NonNegativeInt),
    )
    with atomic_folder("data/raw") as folder:
        source.fetch(settings, selection, read_section("seed", NonNegativeInt), folder)
        if selection.left_out:
            rows = ({"class": name, "images": count} for name, count in selection.left_out.items())
            write_csv(folder / SMALL_CLASSES, ["class", "images"], rows)
        print(*summary(folder), sep="\n")


def summary(folder: Path) -> list[str]:
    """Return in two lines how many files each split has, and how many each class."""
    splits, classes = Counter[str](), Counter[str]()
    for (split, name), files in files_by_class(folder).items():
        splits[split] += len(files)
        classes[name] += len(files)
    shown = [f"{name} {classes[name]:,}" for name in natural_order(classes)[:SHOWN_CLASSES]]
    more = [f"{len(classes) - len(shown)} more"] if len(classes) > len(shown) else []
    if more and len(set(classes.values())) == 1:
        shown, more = [f"{classes.most_common(1)[0][1]:,}"], []
    counts = ", ".join(f"{split and SPLITS[SPLIT_FOLDERS[split]]} {count:,}".strip() for split, count in splits.items())
    lines = [f"fetched {len(classes)} classes; files: {counts}", f"files of each class: {', '.join(shown + more)}"]
    return [printable(line) for line in lines]


def source_names() -> list[str]:
    """Return the names of the modules in stages/datasets."""
    return sorted(module.name for module in iter_modules(datasets.__path__) if not module.ispkg)


def source_module(name: str) -> ModuleType:
    """Return the module of a source: its `Settings` and `fetch(settings, selection, seed, folder)`.

    Imported by name, so that fetch depends on the chosen source's file and on no other's.
    """
    return import_module(f"stages.datasets.{name}")


def _existing(source: str) -> str:
    if source not in (names := source_names()):
        raise ValueError(f"must be one of {', '.join(names)}")
    return source


CLASSES: Any = Classes  # mypy takes no union for the type of a value
Source = Annotated[str, AfterValidator(_existing)]


class _Dataset(Section):
    """What params.yaml's section `dataset` has beside a section for each source: checked before anything runs."""

    source: Source
    classes: Classes
    max_images_per_class: MaxImages
    min_images_per_class: NonNegativeInt
    limits: Limits


_sections: dict[str, Any] = {name: (dict[str, Any], {}) for name in source_names()}
Dataset = create_model("Dataset", __base__=_Dataset, **_sections)  # each source reads a section of its own


if __name__ == "__main__":
    run_stage(main)
