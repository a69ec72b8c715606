"""The images that the page shows, read from what the stages before it wrote."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

NAMES = {"shift_x": "right", "shift_y": "down", "hue": "hue", "gamma": "gamma", "rotation": "turned"}


def examples_of(run: str, digest: str) -> list[dict[str, Any]]:
    """Return the test images of a run that are worth a look, as evaluate chose them.

    None where they are not here, as on a machine that pulled the records alone, or are another version's.
    """
    file = Path(f"data/predictions/{run}/examples.parquet")
    if not file.exists() or hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != digest:
        print(f"{file} is not what metrics/runs/{run}.json tells of: the page lacks its images; `dvc pull` brings them")
        return []
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def copies_of(file: str) -> list[tuple[bytes, bytes, str]]:
    """Return the originals that augment chose to show, each with a copy and what was drawn for it."""
    rows = pq.read_table(file).to_pylist()
    return [(row.pop("original"), row.pop("copy"), told(row)) for row in rows]


def told(drawn: Mapping[str, float]) -> str:
    """Return the drawn values in words: shifts in per cent of the image, angles in degrees."""
    parts = []
    for name, value in drawn.items():
        if name.startswith("shift"):
            parts.append(f"{NAMES[name]} {100 * value:+.0f}\u00a0%")
        elif name == "gamma":
            parts.append(f"gamma {value:.2f}")
        else:
            parts.append(f"{NAMES.get(name, name)} {value:+.0f}°")
    return ", ".join(parts)
