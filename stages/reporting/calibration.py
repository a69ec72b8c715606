"""Whether probabilities can be believed: what the report says of it, and the points of its chart."""

from collections.abc import Sequence
from typing import Any

from stages.reporting.analysis import Analysis
from stages.reporting.comparisons import is_head
from stages.reporting.markdown import percent, table
from stages.reporting.records import Records, means

FEWEST_A_POINT = 10  # images, below which a share correct shows chance


def calibration_sentence(records: Sequence[dict[str, Any]]) -> str:
    """Return by how much probabilities are off after temperature scaling, and whether that is more than chance."""
    prefix = "temperature_scaled_calibration_error"
    error, most = means(list(records), [prefix, f"{prefix}_most_by_chance"]).values()
    more = "more" if error > most else "no more"
    chance = f"{more} than chance alone explains (up to {percent(most)}, in 95 of 100 cases)"
    return f"off by {percent(error)} on average, {chance}"


def calibration_section(records: Records, analysis: Analysis) -> list[str]:
    """Return how well calibrated each run is, before and after temperature scaling, beside what chance would show."""
    errors = ("calibration_error", "calibration_error_by_chance")
    names = [*errors, "temperature", *(f"temperature_scaled_{name}" for name in errors)]
    rows = []
    for key in analysis.distinct():
        of = means(records[key], names)
        cells = [f"{of[name]:.2f}" if name == "temperature" else percent(of[name]) for name in names]
        rows.append([analysis.label(key), *cells])
    heads = (
        " The temperature of a head is 1: it is scaled when it is fitted, by images that it did not learn."
        if any(map(is_head, records.values()))
        else ""
    )
    return [
        "## Can the probabilities be believed?",
        table(["run", "error", "by chance", "temperature", "scaled error", "by chance"], rows),
        "The calibration error is how far, on average, the stated probability is from the share of correct answers. On"
        " few images even a network with true probabilities shows some: `by chance` is how much, on average. The"
        f" best run's probabilities, scaled, are {calibration_sentence(records[analysis.best])}. Scaling divides the"
        " logits by the temperature, which is fitted on validation images; above 1, a network was too sure of itself."
        f"{heads} {rejection_sentence(records[analysis.best])}",
    ]


def rejection_sentence(records: list[dict[str, Any]]) -> str:
    """Say below which evidence an image is taken for none of the classes."""
    threshold = records[0]["none_of_these_below"]
    if threshold is None:
        return "There are too few validation images to reject any image as none of the classes."
    return (
        f"`classify --none-of-these` rejects images whose evidence is below {threshold:.2f}. About one in twenty images"
        " that do show one of the classes is rejected as well."
    )


def reliability(records: Records, analysis: Analysis) -> list[dict[str, Any]]:
    """Return stated probability and share correct of the best run's first seed, in bins of ten images and more.

    Before and after scaling, where that changes anything.
    """
    tables = records[analysis.best][0]["reliability"]
    whens = ("before", "after") if tables["before"] != tables["after"] else ("after",)
    return [{"when": when, **row} for when in whens for row in tables[when] if row["images"] >= FEWEST_A_POINT]
