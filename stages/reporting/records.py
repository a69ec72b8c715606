"""The records of a study's runs, those together that differ in their seed alone."""

from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from stages.runtime.files import read_json
from stages.runtime.names import natural_order
from stages.runtime.study import Configuration, Study

Records = dict[Configuration, list[dict[str, Any]]]  # of each configuration: a record of metrics/runs for each seed

QUALITIES = ("accuracy", "balanced_accuracy", "top5_accuracy", "macro_f1", "loss")
FEW_CLASSES = 5  # of which the true one is always among the best five


def qualities(scores: Records) -> list[str]:
    """Return the names of the numbers that tell runs apart: of five classes, the best five are all."""
    few, first = len(classes_of(scores)) <= FEW_CLASSES, next(iter(scores.values()))[0]
    useless = {"top5_accuracy": few, "balanced_accuracy": first["ranked_by"] == "accuracy"}
    return [name for name in QUALITIES if not useless.get(name)]


def classes_of(scores: Records) -> list[str]:
    """Return the names of the classes in the order of their labels."""
    return natural_order(next(iter(scores.values()))[0]["class_accuracy"])


def best_of(scores: Records) -> Configuration:
    """Return the first configuration with the highest accuracy, the balanced one where classes are unequal."""
    measure = next(iter(scores.values()))[0]["ranked_by"]
    return max(scores, key=lambda configuration: round(means(scores[configuration], [measure])[measure], 9))


def means(records: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Return the mean over seeds of each of the named numbers."""
    return {name: mean(record[name] for record in records) for name in names}


def records_of_study(study: Study, folder: str, read: Callable[[str], Any] = read_json) -> Records:
    """Return a folder's records of all runs of the study, by what reads a file; a configuration's seeds together."""
    return {
        configuration: [_record(folder, f"{configuration}-{seed}", read) for seed in study.seeds]
        for configuration in study.configurations()
    }


def _record(folder: str, run: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """Return the record of a run, or that of the one which it is the same as."""
    record: dict[str, Any] = read(f"{folder}/{run}.json")
    return _record(folder, record["same_as"], read) if "same_as" in record else record


def best_run(scores: Records, study: Study) -> str:
    """Return the first seed's run of the best configuration."""
    return f"{best_of(scores)}-{study.seeds[0]}"


def nested(records: dict[Configuration, dict[str, Any]]) -> dict[str, Any]:
    """Return {network: {hyperparameters: {data: record}}}."""
    tree: dict[str, Any] = {}
    for configuration, record in records.items():
        network = tree.setdefault(configuration.network, {})
        network.setdefault(configuration.hyperparameters, {})[configuration.data] = record
    return tree
