"""What trainings took of the machine, features of frozen networks included."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeFloat

from stages.reporting.records import Records, means, read_or_follow, validated_record
from stages.runtime.files import read_json
from stages.runtime.study import Configuration, Study

Costs = dict[Configuration, dict[str, Any]]  # of each configuration: what its training took, means over seeds

COSTS = ("seconds", "images_per_second", "peak_memory_megabytes", "parameters")


class Cost(BaseModel):
    """What the record of a training's cost must hold; of one that was copied, the search says the rest."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    taken_from: str = ""
    seconds: NonNegativeFloat = 0
    images_per_second: NonNegativeFloat = 0
    peak_memory_megabytes: NonNegativeFloat = 0
    parameters: NonNegativeFloat = 0
    images: NonNegativeFloat = 0
    epochs: NonNegativeFloat = 0
    best_epoch: NonNegativeFloat = 0


def costs_of_study(study: Study) -> Records:
    """Return what each run of the study took, a configuration's seeds together. Raises UserError for a damaged one."""
    return {
        configuration: [cost_of(f"metrics/costs/{configuration}-{seed}") for seed in study.seeds]
        for configuration in study.configurations()
    }


def cost_of(path: str) -> dict[str, Any]:
    """Return the cost of a run, by its path without suffix."""
    return validated_record(Cost, read_or_follow(path), f"{path}.json")


def with_timing(cost: dict[str, Any], configuration: Configuration) -> dict[str, Any]:
    """Return what a training took; where its run was copied from the search, the search says it."""
    if cost.get("taken_from") != "tune":
        return cost
    timings = read_json(f"data/hyperparameters/{configuration.network}/timings.json")
    searched: dict[str, Any] = timings[configuration.hyperparameters]
    return searched | {name: value for name, value in cost.items() if name != "taken_from"}


def with_features(cost: dict[str, Any], configuration: Configuration) -> dict[str, Any]:
    """Return a cost with the seconds in which the features of a frozen network were computed."""
    sets = {"original", configuration.data, "validation"}
    files = [Path(f"data/features/{configuration.network}/{name}.json") for name in sets]
    seconds = sum(read_json(file)["seconds"] for file in files if file.is_file())
    return cost | {"seconds": cost["seconds"] + seconds}


def cost(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a training of this configuration took, numbers as means over seeds."""
    return records[0] | means(records, [name for name, value in records[0].items() if not isinstance(value, str)])


def compared(cost: dict[str, Any]) -> dict[str, float]:
    """Return what a person compares of a cost, to two digits: what a machine's mood changes is no difference."""
    return {name: cost[name] if name == "parameters" else float(f"{cost[name]:.2g}") for name in COSTS}
