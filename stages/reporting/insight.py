"""What the report says of the images themselves: doubtful labels, one scene in two splits, what more would bring."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from stages.reporting.markdown import bounds, escaped, network_name, percent, points, table
from stages.runtime.files import read_csv, read_json

LISTED = 10  # rows of a table in report.md
GAINING, WORTH_NAMING = 5, 0.005  # classes that are named, and the least gain in probability of such a class
MANY_SCENES = 0.02  # of the test images, from which on groups are advised


class Insight(NamedTuple):
    """What the stage insight has written; nothing where `report.insight` is false."""

    found: Mapping[str, Any]  # insight.json
    doubtful: Sequence[Mapping[str, str]]  # rows of data/doubtful.csv
    images: Mapping[str, bytes]  # of files that are shown
    places: Sequence[Mapping[str, Any]]  # rows of map.parquet
    trained: Mapping[str, Mapping[str, Any]]  # of networks in `report.learning_curve`: learning_curve.json

    def curves(self) -> dict[str, Mapping[str, Any]]:
        """Return the learning curve of the head and those of networks, by what has learned; none where too few."""
        head = {f"a head on the features of {self.found['run']}": self.found["curve"]} if self.found else {}
        trained = {f"the {network_name(name)}": curve for name, curve in self.trained.items()}
        return {name: curve for name, curve in (head | trained).items() if curve}


def read_insight(networks: Sequence[str] = ()) -> Insight:
    """Return what the stage insight has written, and learning_curve of networks."""
    found, doubtful = read_json("data/insight/insight.json"), read_csv("data/doubtful.csv")
    trained = {name: read_json(f"data/hyperparameters/{name}/learning_curve.json") for name in networks}
    if not found:
        return Insight({}, [], {}, [], trained)
    images = {row["file"]: row["image"] for row in pq.read_table("data/insight/images.parquet").to_pylist()}
    return Insight(found, doubtful, images, pq.read_table("data/insight/map.parquet").to_pylist(), trained)


def insight_sections(insight: Insight) -> dict[str, list[str]]:
    """Return the sections of the report about the images; none where nothing looked at them."""
    curves = {"more-images": more_images_section(insight)} if insight.found or insight.trained else {}
    if not insight.found:
        return curves
    return {
        "doubtful": doubtful_section(insight),
        **curves,
        "same-scene": same_scene_section(insight.found),
        "confused": confused_section(insight.found),
    }


def doubtful_share(found: Mapping[str, Any]) -> str:
    """Say how many labels are doubted, of training and of test images; "" where nothing looked at them."""
    if not found:
        return ""
    told = {"training and validation": ("training", "validation"), "test": ("test",)}
    parts = []
    for name, splits in told.items():
        doubted, images = (sum(found[key][split] for split in splits) for key in ("doubtful", "images"))
        parts.append(f"{doubted:,} of {images:,} {name} images ({percent(doubted / max(1, images))})")
    return " and ".join(parts)


def doubtful_section(insight: Insight) -> list[str]:
    """Return the labels that are doubted most, and whose doubts these are."""
    found = insight.found
    rows = [
        [*(escaped(row[name]) for name in ("file", "given", "likelier")), percent(float(row["probability"]))]
        for row in insight.doubtful[:LISTED]
    ]
    honest = (
        f"Judged by heads on the features of {found['run']}; none judges a label that it learned from."
        if found["frozen"]
        else f"Judged by the features of {found['run']}, because no network of the study is pre-trained and frozen. It"
        " has learned from these labels, so it doubts too few of its training images."
    )
    said = f"Labels that may be wrong: {doubtful_share(found)}. {honest} A doubt is a reason to look, not proof."
    if found["confirmed"]:
        said += f" Those that a person has confirmed ({found['confirmed']:,}) are not doubted."
    after = "Files are named as in data/raw. data/doubtful.csv lists all; `make labels` makes a table to decide on."
    return [
        "## Doubtful labels",
        said,
        *([table(["file", "given", "likelier", "probability of given"], rows, left=3), after] if rows else []),
    ]


def gain_of(found: Mapping[str, Any]) -> str:
    """Return what twice the images would bring to the head, in points, as an interval; "" where that is not known."""
    return gain(found["curve"]) if found and found["frozen"] and found["curve"] else ""


def gain(curve: Mapping[str, Any]) -> str:
    """Return the interval of what twice the training images would bring, in points."""
    low, high = (points(curve["prediction"][name] - accuracy_now(curve)) for name in ("low", "high"))
    return f"{low} to {high} points"


def accuracy_now(curve: Mapping[str, Any]) -> float:
    """Return the accuracy of what has learned from all images."""
    return float(mean(curve["points"][-1]["accuracy"]))


def more_images_section(insight: Insight) -> list[str]:
    """Return what more images would bring, in all and to which classes."""
    heading, curves = "## Would more photographs help?", insight.curves()
    if not curves:
        return [heading, "Some class has too few images to tell."]
    several = int(len(curves) > 1)  # then a column says what learned
    rows = [
        [*[name] * several, f"{each['images']:,}", percent(mean(each["accuracy"])), str(len(each["accuracy"]))]
        for name, curve in curves.items()
        for each in curve["points"]
    ]
    drawn = table([*["what learned"] * several, "training images", "test accuracy", "trainings"], rows, left=several)
    said = [*map(curve_sentence, curves, curves.values()), *learned_before(insight)]
    return [heading, *said, drawn, *gaining_classes(insight.found)]


def learned_before(insight: Insight) -> list[str]:
    """Warn where the head's features come from a network that has learned from all images."""
    if not insight.found or insight.found["frozen"]:
        return []
    run = insight.found["run"]
    network = run.split("-")[0]
    better = f" `report.learning_curve: [{network}]` trains it on parts of them instead." if not insight.trained else ""
    return [f"{run} has learned from all of these images, so that its head needs few: the curve is too flat.{better}"]


def curve_sentence(name: str, curve: Mapping[str, Any]) -> str:
    """Say what twice the images would bring to what has learned."""
    prediction = curve["prediction"]
    expected = f"{percent(prediction['accuracy'])} ({bounds(prediction['low'], prediction['high'])})"
    return (
        f"**Twice the photographs would change the accuracy by {gain(curve)}.** {name[0].upper()}{name[1:]},"
        f" trained for this question alone, has {percent(accuracy_now(curve))} with all images. With"
        f" {prediction['images']:,} to learn from, {expected} is expected, judging by parts of them."
    )


def gaining_classes(found: Mapping[str, Any]) -> list[str]:
    """Name the classes that the head's second half of images has helped most."""
    gains = sorted(found["curve"]["gains"].items(), key=lambda pair: -pair[1]) if found and found["curve"] else []
    named = [f"{escaped(name)} ({points(gained)})" for name, gained in gains[:GAINING] if gained >= WORTH_NAMING]
    best = (
        "The second half of the images has raised the mean probability of the actual class most for these classes, in"
        f" percentage points: {', '.join(named)}. They would gain most from more."
    )
    return [best] if named else []


def same_scene_section(found: Mapping[str, Any]) -> list[str]:
    """Return how many images of different splits may show one scene, and what to do about it."""
    scenes = found["same_scene"]
    if not scenes["pairs"]:
        return []
    share = scenes["with_test"] / max(1, found["images"]["test"])
    advice = (
        " Where so many show one scene, scores are too good: `prepare.group_by` says which images belong together."
        if share > MANY_SCENES
        else ""
    )
    rows = [
        [escaped(one["file"]), escaped(other["file"]), f"{pair['similarity']:.2f}"]
        for pair in scenes["shown"]
        for one, other in [pair["images"]]
    ]
    return [
        "## The same scene in two splits",
        f"Pairs of images in different splits that may show one scene, or be crops of one photograph:"
        f" {scenes['pairs']:,}, of them {scenes['with_test']:,} with a test image."
        f" Such a pair is a reason to look, not proof.{advice}",
        table(["one", "other", "similarity"], rows[:LISTED], left=2),
    ]


def confused_section(found: Mapping[str, Any]) -> list[str]:
    """Return the classes most often taken for each other; the page has their nearest images."""
    rows = [[escaped(each["one"]), escaped(each["other"]), str(each["times"])] for each in found["confused"]]
    if not rows:
        return []
    said = "Classes most often taken for each other, by heads that did not learn the image in question:"
    return ["## Classes that look alike", said, table(["class", "other class", "images"], rows, left=2)]
