"""Which of a source's classes and pictures take part: `dataset.classes` and `dataset.images_per_class`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from stages.lib.archives import DEFAULT_LIMITS, Limits
from stages.lib.problems import Problem

Classes = Literal["all"] | Annotated[int, Field(ge=2)] | Annotated[list[str], Field(min_length=2)]
Cap = Annotated[int, Field(ge=0)]  # 0: no cap


class Selection(NamedTuple):
    """What a person wants of a source, and how much its archive may unpack to."""

    classes: Classes = "all"
    images_per_class: Cap = 0  # 0: all
    limits: Limits = DEFAULT_LIMITS

    def class_names(self, available: Iterable[str]) -> list[str]:
        """Return the names that take part, in name order: all, the first N, or those listed.

        Raises Problem where fewer than two or not all that are asked for exist.
        """
        names = sorted(available)
        if len(names) < 2:
            found = f"only {names[0]}" if names else "none"
            raise Problem(f"a study needs at least two classes, the source has {found}; expected a folder per class")
        if self.classes == "all":
            return names
        if isinstance(self.classes, int):
            if self.classes > len(names):
                raise Problem(
                    f"params.yaml: dataset.classes = {self.classes}, but the source has {len(names)};"
                    " lower it or say all"
                )
            return names[: self.classes]
        if missing := sorted(set(self.classes) - set(names)):
            raise Problem(*(f"params.yaml: dataset.classes names {name!r}, which the source lacks" for name in missing))
        return sorted(set(self.classes))

    def pictures(self, files: Iterable[Path]) -> Sequence[Path]:
        """Return the pictures of one class that take part: all, or the first N in name order."""
        files = sorted(files)
        return files[: self.images_per_class or None]
