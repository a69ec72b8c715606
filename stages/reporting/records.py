"""The records of a study's runs, those together that differ in their seed alone."""

import re
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.runtime.config import first_fault
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from stages.runtime.names import natural_order
from stages.runtime.study import Configuration, Study

Records = dict[Configuration, list[dict[str, Any]]]  # of each configuration: a record of metrics/runs for each seed

QUALITIES = ("accuracy", "balanced_accuracy", "top5_accuracy", "macro_f1", "loss")
FEW_CLASSES = 5  # of which the true one is always among the best five


Numbers = Annotated[str, Field(pattern=r"^[0-9]{1,9}( [0-9]{1,9})*$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Record(BaseModel):
    """What a run's record must hold to be set beside others, be it a stranger's; what else it has is the report's."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    ranked_by: Literal["accuracy", "balanced_accuracy"]
    labels: Numbers  # of each test image
    predicted: Numbers
    groups: Literal[""] | Numbers
    class_accuracy: dict[str, Share] = Field(min_length=1)
    settings: dict[str, Any]
    test_images_sha256: str
    accuracy: Share = 0
    balanced_accuracy: Share = 0

    @model_validator(mode="after")
    def _of_one_set(self) -> Self:
        labels, predicted, groups = (
            [int(number) for number in text.split()] for text in (self.labels, self.predicted, self.groups)
        )
        if len(predicted) != len(labels) or (groups and len(groups) != len(labels)):
            raise ValueError("labels, predicted and groups are of different numbers of images")
        if max(*labels, *predicted) >= len(self.class_accuracy) or max(groups, default=0) >= len(labels):
            raise ValueError("a label is of no class, or a group of no image")
        return self


def metric_names(records: Records) -> list[str]:
    """Return the names of the numbers that tell runs apart: of five classes, the best five are all."""
    few, first = len(classes_of(records)) <= FEW_CLASSES, next(iter(records.values()))[0]
    useless = {"top5_accuracy": few, "balanced_accuracy": first["ranked_by"] == "accuracy"}
    return [name for name in QUALITIES if not useless.get(name)]


def classes_of(records: Records) -> list[str]:
    """Return the names of the classes in the order of their labels."""
    return natural_order(next(iter(records.values()))[0]["class_accuracy"])


def best_of(records: Records) -> Configuration:
    """Return the configuration with the highest accuracy, the balanced one where classes are unequal.

    Of several that have it, it is the simplest.
    """
    measure = next(iter(records.values()))[0]["ranked_by"]
    accuracies = {key: round(means(each, [measure])[measure], 9) for key, each in records.items()}
    return min(records, key=lambda key: (-accuracies[key], complexity(key)))


def complexity(configuration: Configuration) -> tuple[bool, bool, str]:
    """Return what equally accurate configurations are sorted by: default before tuned, original before augmented."""
    return configuration.hyperparameters != "default", configuration.data != "original", configuration.network


def means(records: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Return the mean over seeds of each of the named numbers."""
    return {name: mean(record[name] for record in records) for name in names}


def records_of_study(study: Study, read: Callable[[str], Any] = read_json) -> Records:
    """Return the records of all runs of the study, by what reads a file; a configuration's seeds together.

    Raises UserError where one is damaged, or of other images than the first.
    """
    found = {
        configuration: [read_record(f"metrics/runs/{configuration}-{seed}", read) for seed in study.seeds]
        for configuration in study.configurations()
    }
    if len({(one["labels"], one["groups"], *one["class_accuracy"]) for each in found.values() for one in each}) > 1:
        raise UserError("the records in metrics/runs are of different test images; `dvc repro` makes them anew")
    return found


def read_record(path: str, read: Callable[[str], Any] = read_json) -> dict[str, Any]:
    """Return the record of a run, by its path without suffix. Raises UserError where it is damaged."""
    return validated_record(Record, read_or_follow(path, read), f"{path}.json")


def validated_record(schema: type[BaseModel], value: Any, file: str) -> dict[str, Any]:
    """Return what a file of a study holds. Raises UserError where it is not what `schema` says."""
    try:
        schema(**value)
    except (ValidationError, TypeError) as invalid:
        fault = first_fault(invalid) if isinstance(invalid, ValidationError) else invalid
        raise UserError(f"{file}: {fault}; `dvc repro` makes it anew") from None
    found: dict[str, Any] = value
    return found


def read_or_follow(path: str, read: Callable[[str], Any] = read_json, references: int = 0) -> dict[str, Any]:
    """Return the record of a run, or that of the one which it is the same as."""
    try:
        record: dict[str, Any] = read(f"{path}.json")
        same = record.get("same_as")
    except (ValueError, AttributeError, RecursionError):
        raise UserError(f"{path}.json is damaged; `dvc repro` makes it anew") from None
    if same is None:
        return record
    if references or not re.fullmatch(r"[a-z0-9_-]+", str(same)):
        raise UserError(f"{path}.json: same_as {same!r} is no run that has a record; `dvc repro` makes it anew")
    return read_or_follow(f"{path.rpartition('/')[0]}/{same}", read, references + 1)


def best_run(records: Records, study: Study) -> str:
    """Return the first seed's run of the best configuration."""
    return f"{best_of(records)}-{study.seeds[0]}"


def nested(records: dict[Configuration, dict[str, Any]]) -> dict[str, Any]:
    """Return {network: {hyperparameters: {data: record}}}."""
    tree: dict[str, Any] = {}
    for configuration, record in records.items():
        network = tree.setdefault(configuration.network, {})
        network.setdefault(configuration.hyperparameters, {})[configuration.data] = record
    return tree
