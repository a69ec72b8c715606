"""What a study computes, file by file: what two studies are compared by."""

import hashlib
from pathlib import Path

COMPUTED = (
    *("raw", "original", "validation", "test", "augmented", "copies.parquet", "settings", "weights", "features"),
    *("hyperparameters", "trained", "predictions", "examples.parquet", "doubtful.csv", "insight", "report"),
)


def digests(folder: Path) -> dict[str, str]:
    """Return the MD5 of each file that the study computed, by path, but those that hold times."""
    found = [path for name in COMPUTED for path in (folder / "data" / name, *(folder / "data" / name).rglob("*"))]
    files = [path for path in [*found, *(folder / "metrics").rglob("*")] if path.is_file()]
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(files)}
    return {name: md5(path.read_bytes()) for name, path in paths.items() if not holds_times(name)}


def md5(content: bytes) -> str:
    """Return the digest that dvc.lock would hold."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def holds_times(path: str) -> bool:
    """Say whether a file holds seconds, which nothing repeats."""
    if path.startswith(("metrics/costs/", "data/features/")):
        return path.endswith(".json")
    reports = ("metrics/cost.json", "metrics/report.md", "metrics/model-card.md")
    return path in reports or path.endswith(("/timing.json", "/timings.json", "/index.html"))
