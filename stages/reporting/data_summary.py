"""What the report says of the images: where each split comes from, and what was left out."""

from typing import Any

from stages.reporting.markdown import escaped, table

LeftOut = dict[str, list[dict[str, str]]]  # the rows of data/skipped.csv and data/duplicates.csv


def splits_table(splits: dict[str, Any]) -> str:
    """Return how many images each split has, and where they come from."""
    names = {"original": "training", "validation": "validation", "test": "test"}
    rows = [[told, escaped(splits[name]["origin"]), f"{splits[name]['images']:,}"] for name, told in names.items()]
    return table(["split", "from", "images"], rows, left=2)


def left_out_lines(left_out: LeftOut) -> list[str]:
    """Return a paragraph each for bad images and for copies, where there were any."""
    bad, leaks = left_out["skipped"], [row for row in left_out["duplicates"] if row["leak"] == "True"]
    lines = [f"Bad files that were skipped: {len(bad)}. data/skipped.csv lists them."] if bad else []
    for stood, rows in (
        ("stood in another split or class as well", [row for row in leaks if row["kind"] == "exact"]),
        ("look like one in another split or class", [row for row in leaks if row["kind"] != "exact"]),
    ):
        dropped = sum(row["dropped"] == "True" for row in rows)
        if rows:
            lines.append(
                f"Images that {stood}: {len(rows)}, of which {dropped} dropped. data/duplicates.csv lists them."
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
