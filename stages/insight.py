"""Stage insight: say what is wrong with the images, and whether more of them would help."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.inspection import near_pairs
from stages.inspection.doubtful import DoubtfulLabel, find_doubtful_labels
from stages.inspection.image_features import (
    SPLIT_NAMES,
    TEST,
    FeatureTable,
    Heads,
    backbone_features,
    out_of_fold_probabilities,
    run_features,
)
from stages.inspection.learning_curve import Images, learning_curve
from stages.inspection.photograph_map import positions
from stages.inspection.thumbnails import MAPPED, write_map, write_thumbnails
from stages.networks.common.starting_point import read_starting_point
from stages.networks.common.weights import required_metadata
from stages.reporting.records import Records, best_run, records_of_study
from stages.runtime.command import run_stage
from stages.runtime.config import read_section
from stages.runtime.files import atomic_folder, read_json, write_csv, write_json
from stages.runtime.runs import referred
from stages.runtime.seeding import stream
from stages.runtime.study import Study
from stages.statistics.whitening import Floats, Whitening
from stages.training.head import HeadSettings

COLUMNS = ["file", "split", "given", "likelier", "probability", "likelier_probability"]  # of data/doubtful.csv
SHOWN_DOUBTS, SHOWN_PAIRS = 24, 12  # images and pairs that the page shows
CONFUSED, OF_EACH = 3, 3  # pairs of classes, and pairs of images of each


def main() -> None:
    """Say what is wrong with the images, and whether more of them would help.

    By the pre-trained network of the best run, or where none takes part by the best run's own features.
    """
    study, wanted = read_section("study", Study), read_section("report.insight", bool)
    found: dict[str, Any] = {}
    doubtful: list[dict[str, Any]] = []
    with atomic_folder("data/insight") as folder:
        if wanted:
            run, frozen = chosen_run(records_of_study(study), study)
            metadata = required_metadata(f"data/trained/{run}/weights.safetensors")
            table = (
                backbone_features(metadata.network) if frozen else run_features(Path(f"data/trained/{run}"), metadata)
            )
            settings = HeadSettings(metadata.settings["head_power"], metadata.settings["head_shrinkage"])
            views = table.views(flip_tta=frozen and metadata.settings["flip_tta"])
            probabilities, heads = out_of_fold_probabilities(table, views, settings, study.seeds[0])
            confirmed = set(read_json("data/composition.json")["confirmed_labels"])
            doubted = find_doubtful_labels(probabilities, table.labels)
            listed = [each for each in doubted if table.paths[each.row] not in confirmed]
            doubtful = [doubt_row(table, doubt) for doubt in listed]
            found = {"run": run, "frozen": frozen, "images": counted(table.splits)}
            found["doubtful"] = counted(table.splits[[each.row for each in listed]])
            found["confirmed"] = len(confirmed)
            found |= curve_of(table, views, heads) | pairs_of(table, probabilities)
            shown = [each["file"] for each in doubtful[:SHOWN_DOUBTS]]
            write_thumbnails(folder, {*shown, *paths_in(found)})
            places = positions(table.features, stream(0, "map"))
            write_map(folder, table, places, {each.row for each in listed}, thumbnail_rows(len(table.paths), listed))
        write_json(folder / "insight.json", found)
    write_csv("data/doubtful.csv", COLUMNS, doubtful)


def chosen_run(records: Records, study: Study) -> tuple[str, bool]:
    """Return the best run of a network whose backbone never saw the labels, and True; else the best run, and False."""
    frozen = {key: of_seeds for key, of_seeds in records.items() if read_starting_point(key.network).frozen}
    run = best_run(frozen or records, study)
    return referred(f"data/trained/{run}") or run, bool(frozen)


def counted(splits: NDArray[np.int64]) -> dict[str, int]:
    """Return how many images of each split there are."""
    return {name: int((splits == number).sum()) for number, name in enumerate(SPLIT_NAMES)}


def doubt_row(table: FeatureTable, doubt: DoubtfulLabel) -> dict[str, Any]:
    """Return a row of data/doubtful.csv."""
    names = table.class_names
    return {
        "file": table.paths[doubt.row],
        "split": SPLIT_NAMES[table.splits[doubt.row]],
        "given": names[table.labels[doubt.row]],
        "likelier": names[doubt.likelier],
        "probability": f"{doubt.probability:.4f}",
        "likelier_probability": f"{doubt.sureness:.4f}",
    }


def curve_of(table: FeatureTable, views: Floats, heads: Heads) -> dict[str, Any]:
    """Return the learning curve, and the classes that gained most from the second half of their images."""
    training, test = (Images(views[rows], table.labels[rows]) for rows in (table.training_rows, table.test_rows))

    def fit(features: Floats, labels: NDArray[np.int64]) -> Any:
        return lambda others: heads.fitted_probabilities(features, labels, others)

    curve = learning_curve(training, test, fit, stream(0, "learning curve"))
    if curve is None:
        return {"curve": None}
    gains = dict(zip(table.class_names, curve.gains, strict=True))
    points = [each._asdict() for each in curve.points]
    return {"curve": {"points": points, "prediction": curve.prediction._asdict(), "gains": gains}}


def pairs_of(table: FeatureTable, probabilities: Floats) -> dict[str, Any]:
    """Return pairs of images across splits that may show one scene, and the nearest of classes that are confused."""
    whitening, names = Whitening.fit(table.features), table.class_names
    scenes = near_pairs.same_scene(whitening, table.features, table.mirrored, table.splits)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (table.labels, probabilities.argmax(axis=1)), 1)
    directions, confused = whitening.directions(table.features), []
    for one, other, times in near_pairs.confused_classes(confusion, CONFUSED):
        nearest = near_pairs.across_the_boundary(directions, table.labels, one, other, OF_EACH)
        confused.append({"one": names[one], "other": names[other], "times": times, "pairs": described(table, nearest)})
    with_test = sum(TEST in table.splits[[each.one, each.other]] for each in scenes)
    return {
        "same_scene": {"pairs": len(scenes), "with_test": with_test, "shown": described(table, scenes[:SHOWN_PAIRS])},
        "confused": confused,
    }


def described(table: FeatureTable, pairs: Sequence[near_pairs.Pair]) -> list[dict[str, Any]]:
    """Return pairs with the paths, splits and classes of both images."""
    return [
        {
            "similarity": round(pair.similarity, 3),
            "images": [
                {
                    "file": table.paths[row],
                    "split": SPLIT_NAMES[table.splits[row]],
                    "class": table.class_names[table.labels[row]],
                }
                for row in (pair.one, pair.other)
            ],
        }
        for pair in pairs
    ]


def paths_in(found: Mapping[str, Any]) -> list[str]:
    """Return the paths of all images of pairs."""
    pairs = [*found["same_scene"]["shown"], *(pair for each in found["confused"] for pair in each["pairs"])]
    return [image["file"] for pair in pairs for image in pair["images"]]


def thumbnail_rows(count: int, listed: Sequence[DoubtfulLabel]) -> set[int]:
    """Return the rows whose thumbnails the map carries: the doubtful ones first, then others at equal distances."""
    doubtful = [each.row for each in listed][:MAPPED]
    others = np.linspace(0, count - 1, min(count, MAPPED - len(doubtful))).round().astype(int)
    return {*doubtful, *others.tolist()}


if __name__ == "__main__":
    run_stage(main)
