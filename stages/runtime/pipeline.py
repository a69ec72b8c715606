"""What dvc.yaml declares: names of stages, paths with their values put in, outputs that the study no longer names."""

import re
import shutil
from collections.abc import Mapping
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

from stages.runtime.files import UNFINISHED

DVC_SECONDS = 1  # a stage, for its start and for dvc.lock
VALUE = re.compile(r"\$\{([\w.]+)\}")


def at(tree: Any, key: str) -> Any:
    """Return the value at a dotted key; None where there is none."""
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def resolve(text: str, values: dict[str, Any]) -> str:
    """Return a text of dvc.yaml with each ${dotted.key} replaced by its value."""
    return VALUE.sub(lambda match: str(at(values, match[1])), text)


def axes_of(stage: dict[str, Any], params: dict[str, Any]) -> list[Any]:
    """Return the values of each axis of a stage's matrix."""
    return [at(params, axis[2:-1]) if isinstance(axis, str) else axis for axis in stage.get("matrix", {}).values()]


def stage_names(stages: dict[str, Any], params: dict[str, Any]) -> list[str]:
    """Return the names of all stages, such as train@own_cnn-default-original-1, as DVC runs them."""
    return [
        "@".join([stage, *(["-".join(map(str, item))] if item else [])])
        for stage, declared in stages.items()
        for item in product(*axes_of(declared, params))
    ]


def left_in_study(stages: dict[str, Any], params: dict[str, Any], name: str) -> bool:
    """Say whether a stage of dvc.lock is one of the study's, or may be: not one whose network, seed ... has left it."""
    axes = axes_of(stages.get(name.partition("@")[0], {}), params)
    known = bool(axes) and all(isinstance(values, list) for values in axes)
    return not known or name in stage_names(stages, params)


def start_message(stages: dict[str, Any], params: dict[str, Any], name: str, seconds: Mapping[str, int]) -> str:
    """Return what is said when a stage begins: its place among all, the time left, and its task.

    `seconds` says how long stages took the last time.
    """
    names = stage_names(stages, params)
    place = f"{names.index(name) + 1} of {len(names)}, " if name in names else ""
    if name in names and (left := time_left(names[names.index(name) :], seconds)):
        place += f"{left} left, "
    task = stages.get(name.partition("@")[0], {}).get("desc", "")  # which a dvc.yaml may leave out
    return f"stage {place}{name}" + (f": {task}" if task else "")


def time_left(names: list[str], seconds: Mapping[str, int]) -> str:
    """Return in words how long stages take that all run, by their last times; "" where one has none."""
    if not all(name in seconds for name in names):
        return ""
    left = sum(seconds[name] + DVC_SECONDS for name in names)
    if left < 55:
        return f"about {max(5, 5 * round(left / 5))} s"
    minutes = ceil(left / 60)
    return f"about {minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"about {minutes} min"


def remove_leftovers(stages: dict[str, Any], params: dict[str, Any]) -> list[Path]:
    """Remove the outputs of networks, seeds ... that the study no longer names; return their paths.

    They come of another branch or of earlier settings, and DVC's cache or Git still has them. A stage that depends on a
    whole folder of runs would run again for each, and dvc.lock would record what no clone of this study can make.
    Records (`cache: false`) would be committed with those of another study.
    """
    found, wanted = set(), set()
    for stage in stages.values():
        axes = axes_of(stage, params)
        if not all(isinstance(values, list) for values in axes):
            return []
        outputs = [path if isinstance(path, str) else next(iter(path)) for path in stage.get("outs", []) if axes]
        items = (
            [dict(zip(stage["matrix"], map(str, values), strict=True)) for values in product(*axes)] if outputs else []
        )
        wanted |= {Path(resolve(path, {"item": item})) for path in outputs for item in items}
        found |= {each for path in outputs for each in Path().glob(VALUE.sub("*", path)) if each.suffix != UNFINISHED}
    for path in found - wanted:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    return sorted(found - wanted)
