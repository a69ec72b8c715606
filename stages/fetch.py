"""Stage fetch: bring the pictures, a folder per class."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from pydantic import NonNegativeInt, create_model, field_validator

from stages import sources
from stages.lib.archives import Limits
from stages.lib.classes import Cap, Classes, Selection
from stages.lib.command import run_stage
from stages.lib.files import finished_folder
from stages.lib.params import Section, read


class _Dataset(Section):
    """What params.yaml's section `dataset` has beside a section for each source."""

    source: str
    classes: Classes
    images_per_class: Cap
    limits: Limits

    @field_validator("source")
    @classmethod
    def _exists(cls, source: str) -> str:
        if source not in (names := source_names()):
            raise ValueError(f"must be one of {', '.join(names)}")
        return source


def main() -> None:
    """Bring the pictures, a folder per class."""
    seed = read("seed", NonNegativeInt)
    dataset = read("dataset", Dataset)
    source = source_module(dataset.source)
    settings = read(f"dataset.{dataset.source}", source.Settings)
    selection = Selection(dataset.classes, dataset.images_per_class, dataset.limits)
    with finished_folder("data/raw") as folder:
        source.fetch(settings, selection, seed, folder)


def source_names() -> list[str]:
    """Return the names of the modules in stages/sources."""
    return sorted(module.name for module in iter_modules(sources.__path__) if not module.ispkg)


def source_module(name: str) -> ModuleType:
    """Return the module of a source: its `Settings` and `fetch(settings, selection, seed, folder)`.

    Imported by name, so that fetch depends on the chosen source's file and on no other's.
    """
    return import_module(f"stages.sources.{name}")


_sections: dict[str, Any] = {name: (dict[str, Any], {}) for name in source_names()}
Dataset = create_model("Dataset", __base__=_Dataset, **_sections)  # each source reads a section of its own


if __name__ == "__main__":
    run_stage(main)
