"""How far a study is: which of its stages runs, and about how long the rest will take.

Shown at a terminal alone. Times are those that stages took before on this machine, kept in .dvc/tmp; where a stage has
none, another run of the same kind stands for it.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from stages.runtime.files import read_json, write_json

TIMES = Path(".dvc/tmp/times.json")
MINUTE, HOUR = 60, 3600


@contextmanager
def told(stage: str) -> Iterator[None]:
    """Say at a terminal which stage of how many runs, and about how long the study still takes; note its time."""
    times = _known()
    if sys.stderr.isatty():
        print(line(stage, stage_names(), times), file=sys.stderr)
    start = time.monotonic()
    yield
    try:
        write_json(TIMES, _known() | {stage: round(time.monotonic() - start, 1)})
    except OSError:
        return  # it is a help, and no result


def line(stage: str, names: list[str], times: Mapping[str, float]) -> str:
    """Return what is said of a stage before it runs."""
    kind = stage.partition("@")[0]
    runs = [name for name in names if name.partition("@")[0] == kind]
    where = f"{kind}: {runs.index(stage) + 1} of {len(runs)}" if len(runs) > 1 and stage in runs else kind
    rest = [seconds_of(name, times) for name in names[names.index(stage) :]] if stage in names else [None]
    left = [seconds for seconds in rest if seconds is not None]
    return where if len(left) < len(rest) else f"{where}; the study takes at most about {_shown(sum(left))} more"


def seconds_of(stage: str, times: Mapping[str, float]) -> float | None:
    """Return how long a stage will take: as before, as others with the same first word after @, as others of its kind.

    None where nothing is known.
    """
    kind, _, words = stage.partition("@")
    alike = [
        [times[stage]] if stage in times else [],
        [each for name, each in times.items() if name.startswith(f"{kind}@{words.partition('-')[0]}-")],
        [each for name, each in times.items() if name.partition("@")[0] == kind],
    ]
    found = next((each for each in alike if each), [])
    return sum(found) / len(found) if found else None


def stage_names() -> list[str]:
    """Return the names of all stages of dvc.yaml in its order, as params.yaml unfolds them."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    names = []
    for name, stage in stages.items():
        axes = [_values(params, axis) for axis in stage.get("matrix", {}).values()]
        names += [f"{name}@{'-'.join(map(str, values))}" for values in product(*axes)] if axes else [name]
    return names


def _values(params: Any, axis: Any) -> list[Any]:
    if isinstance(axis, list):
        return axis
    for part in str(axis).removeprefix("${").removesuffix("}").split("."):
        params = params[part]
    return list(params)


def _known() -> dict[str, float]:
    try:
        return dict(read_json(TIMES))
    except (OSError, json.JSONDecodeError, TypeError, ValueError):
        return {}


def _shown(seconds: float) -> str:
    if seconds < MINUTE:
        return "a minute"
    return f"{seconds / MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.1f} h"
