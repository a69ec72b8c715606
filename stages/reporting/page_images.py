"""The images that the page shows, read from what the stages before it wrote."""

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

NAMES = {"shift_x": "right", "shift_y": "down", "hue": "hue", "gamma": "gamma", "rotation": "turned"}


def examples_of(file: str) -> list[dict[str, Any]]:
    """Return the test images that explain chose to show."""
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
