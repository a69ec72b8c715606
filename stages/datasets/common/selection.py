"""Which of a source's classes and images take part: `dataset.classes` and the limits of images per class."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar
from unicodedata import normalize

from pydantic import BeforeValidator, Field

from stages.datasets.common.archives import DEFAULT_LIMITS, Limits
from stages.runtime.errors import UserError
from stages.runtime.names import natural_order

ALLOWED = "must be all, a whole number of 2 or more, or a list of two or more names"
Path = TypeVar("Path", bound=PurePath)


def _classes(value: Any) -> Any:
    """Return the value of dataset.classes; raise ValueError where it is none or not what it looks like."""
    if isinstance(value, str) and value != "all":
        if value.strip().isdecimal():
            raise ValueError(
                f'{ALLOWED}: the number {value} without quotes, or ["{value}", ...] for the class of that name'
            )
        raise ValueError(f'{ALLOWED}: ["{value}", ...]')
    if isinstance(value, list):
        if odd := [entry for entry in value if not isinstance(entry, str)]:
            raise ValueError(
                f"names must be text, and YAML reads here {', '.join(map(str, odd))}; put such names in quotes, spelled"
                ' as their folders are: "1", "no", "1e3"'
            )
        if len(set(value)) < 2:
            raise ValueError(ALLOWED)
    elif value != "all" and (not isinstance(value, int) or isinstance(value, bool) or value < 2):
        raise ValueError(ALLOWED)
    return value


def _missing_class(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"params.yaml: dataset.classes names {name!r}, which the source lacks{meant}"


Classes = Annotated[Literal["all"] | int | list[str], BeforeValidator(_classes)]
MaxImages = Annotated[int, Field(ge=0)]  # 0: all


@dataclass(frozen=True)
class Selection:
    """What a person wants of a source, and how much it may bring."""

    classes: Classes = "all"
    max_images_per_class: MaxImages = 0
    limits: Limits = DEFAULT_LIMITS
    min_images_per_class: int = 0  # classes with fewer images are left out
    left_out: dict[str, int] = field(default_factory=dict)  # filled by class_names: these classes, with their images

    def class_names(self, images: Mapping[str, int]) -> list[str]:
        """Return the names that take part, in order: all, the first N, or those listed; `images` counts each one's.

        Raises UserError where fewer than two or not all that are asked for exist.
        """
        names = natural_order(images)
        if len(names) < 2:
            found = f"only {names[0]}" if names else "none"
            raise UserError(f"a study needs at least two classes, the source has {found}; expected a folder per class")
        large = [name for name in names if images[name] >= self.min_images_per_class]
        wanted = self._wanted(names, large)
        chosen = [name for name in wanted if name in set(large)]
        if len(chosen) < 2:
            raise UserError(
                f"params.yaml: dataset.min_images_per_class = {self.min_images_per_class} leaves {len(chosen)} of"
                f" {len(wanted)} classes; lower it or add images"
            )
        self.left_out.update({name: images[name] for name in wanted if name not in set(large)})
        return chosen

    def _wanted(self, names: list[str], large: list[str]) -> list[str]:
        """Return the names asked for, those that are too small among them: the first N are N that are not."""
        if self.classes == "all":
            return names
        if isinstance(self.classes, int):
            if self.classes > len(large):
                small = f" of {self.min_images_per_class} images or more" if len(large) < len(names) else ""
                raise UserError(
                    f"params.yaml: dataset.classes = {self.classes}, but the source has {len(large)}{small};"
                    " lower it or say all"
                )
            return names[: names.index(large[self.classes - 1]) + 1]
        known = {normalize("NFC", name): name for name in names}  # params.yaml may compose accents otherwise
        wanted = {name: known.get(normalize("NFC", name)) for name in natural_order(self.classes)}
        if missing := [name for name, found in wanted.items() if found is None]:
            raise UserError(*(_missing_class(name, names) for name in missing))
        return natural_order(found for found in wanted.values() if found is not None)

    def first_images(self, files: Iterable[Path]) -> Sequence[Path]:
        """Return the images of one class that take part: all, or the first N in name order."""
        files = sorted(files)
        return files[: self.max_images_per_class or None]
