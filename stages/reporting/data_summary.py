"""What the report says of the images: where each split comes from, and what was left out."""

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from stages.images.shards import SPLITS
from stages.reporting.markdown import escaped, table
from stages.reporting.records import validated_record
from stages.runtime.files import read_json

LeftOut = dict[str, list[dict[str, str]]]  # the rows of data/skipped.csv and data/duplicates.csv


class Split(BaseModel):
    """Where a split comes from, and how many images it has."""

    model_config = ConfigDict(extra="allow")

    origin: str
    images: NonNegativeInt


class Splits(BaseModel):
    """All three of them."""

    original: Split
    validation: Split
    test: Split


class Composition(BaseModel):
    """What data/composition.json must hold."""

    model_config = ConfigDict(extra="allow")

    splits: Splits
    left_out_classes: dict[str, NonNegativeInt]


def read_composition(path: str = "data/composition.json") -> dict[str, Any]:
    """Return what prepare says of the splits. Raises UserError where the file is damaged."""
    return validated_record(Composition, read_json(path), path)


class DataSummary(NamedTuple):
    """Where the images come from, how many there are of each class, and what was left out."""

    source: str
    licence: str
    left_out: LeftOut
    composition: dict[str, Any]
    counts: dict[str, dict[str, int]]  # of each split's folder: images of each class

    @property
    def splits(self) -> dict[str, Any]:
        """Return what prepare says of each split."""
        splits: dict[str, Any] = self.composition["splits"]
        return splits


def splits_table(images: DataSummary) -> str:
    """Return how many images each split has, in all and of a class, and where they come from."""
    rows = []
    for name, told in SPLITS.items():
        of_class = list(images.counts[name].values())
        each = f"{min(of_class):,}–{max(of_class):,}" if min(of_class) < max(of_class) else f"{min(of_class):,}"
        rows.append([told, escaped(images.splits[name]["origin"]), f"{images.splits[name]['images']:,}", each])
    return table(["split", "from", "images", "of each class"], rows, left=2)


def learned_by_heads(images: DataSummary) -> int:
    """Return how many images heads of frozen networks learn from, but for altered copies."""
    return sum(int(images.splits[name]["images"]) for name in ("original", "validation"))


def together_line(images: DataSummary) -> str:
    """Say that heads learn from two splits, which other numbers of the report count as one."""
    return (
        f"Heads of frozen networks learn from training and validation images together, {learned_by_heads(images):,} in"
        " all: cross-validation takes the place of the validation images."
    )


def left_out_lines(left_out: LeftOut) -> list[str]:
    """Return a paragraph each for bad images and for copies, where there were any."""
    bad, leaks = left_out["skipped"], [row for row in left_out["duplicates"] if row["leak"] == "True"]
    lines = [f"Bad files that were skipped: {len(bad)}. data/skipped.csv lists them."] if bad else []
    for kind, rows, key in (
        ("Exact", [row for row in leaks if row["kind"] == "exact"], "`prepare.duplicates: drop` drops them"),
        (
            "Near",
            [row for row in leaks if row["kind"] != "exact"],
            "`prepare.near_duplicate_distance` says up to which distance they are dropped",
        ),
    ):
        kept = sum(row["dropped"] != "True" for row in rows)
        advice = f"these make scores too good; {key}" if kept else "where an image has two classes, one is wrong"
        if rows:
            first = f"such as {escaped(rows[0]['file'])}, which is {escaped(rows[0]['same_as'])} again"
            lines.append(
                f"{kind} duplicates of an image in another split or class: {len(rows):,}, of which"
                f" {len(rows) - kept:,} dropped and {kept:,} left, {first}. data/duplicates.csv lists them; {advice}."
            )
    return lines


def small_classes_line(left_out: dict[str, int]) -> str:
    """Say which classes were left out for having too few images, "" where none were."""
    if not left_out:
        return ""
    names = ", ".join(f"{escaped(name)} ({count})" for name, count in list(left_out.items())[:20])
    more = " and others" if len(left_out) > 20 else ""
    return (
        f"Classes that were left out because they have too few images (dataset.min_images_per_class): {len(left_out)},"
        f" with {sum(left_out.values())} images: {names}{more}. data/composition.json lists them."
    )
