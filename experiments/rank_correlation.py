"""What a trial of a search says of the test accuracy that its settings would reach, and which epoch is best kept.

    python -m experiments.rank_correlation own_cnn 24

In a study that has been prepared: trains a network of it with so many random settings to the end, and looks at the test
images after each epoch, which no stage ever does. Prints the rank correlation (Spearman) over settings of what
validation says at 10, 30 and 100 % of the epochs with the final test accuracy; with the schedule cut (the training as
it is, looked at early) and shortened (a training of so many epochs). And the mean test accuracy of the epochs that
rules would have kept. `scaled` is the cross entropy at the temperature that makes it lowest. Results are kept in
experiments/results/rank_correlation.json of that folder, and continued.
"""

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna
from scipy.stats import spearmanr

from stages.commands.check import settings_of
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.common.prediction import predict
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig, config_from
from stages.networks.common.starting_point import starting_point
from stages.reporting.markdown import percent, table
from stages.runtime.config import read_section
from stages.training import loop
from stages.training.loop import DivergedError, fit
from stages.training.state import Task

RESULTS = Path("experiments/results/rank_correlation.json")
PARTS = (0.1, 0.3, 1.0)

Record = list[dict[str, float]]  # an epoch each: loss, scaled loss and accuracy on validation, accuracy on test images


def main(network: str, count: int) -> None:
    """Train with so many settings, and print what they say."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    device.be_deterministic()
    device.keep_freed_memory()
    chosen = network_named(network)
    settings = settings_of(chosen)
    start = starting_point(chosen.name)
    expected = start.image_size, start.normalisation
    sets = [load_images(f"data/{name}", device.device(), *expected) for name in ("original", "validation", "test")]
    defaults = TrainingConfig(settings, read_section("online_augmentation", OnlineAugmentation)).values()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    known: dict[str, Record] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    whole: list[Record] = []
    short: dict[float, list[Record]] = {part: [] for part in PARTS[:-1]}
    for _ in range(count):
        values = defaults | chosen.suggest(study.ask(), settings)
        whole.append(recorded(known, network, values, sets))
        for part, records in short.items():
            records.append(recorded(known, network, values | {"epochs": at(part, settings.epochs)}, sets))
    print(
        f"\n{network}, {count} settings, {settings.epochs} epochs, {len(sets[0])} training, {len(sets[1])} validation"
    )
    print(f"and {len(sets[2])} test images, {device.description()}\n")
    print(correlations(whole, short, settings.epochs), "\n")
    print(kept_epochs(whole))


def at(part: float, epochs: int) -> int:
    """Return the number of the epoch at a part of all."""
    return max(1, round(part * epochs))


def recorded(known: dict[str, Record], network: str, values: dict[str, Any], sets: list[ImageSet]) -> Record:
    """Return what each epoch of a training came to, from before where it is known."""
    key = json.dumps([network, values], sort_keys=True)
    if "scaled" not in known.get(key, [{}])[0]:  # it is missing, or of a version that did not scale
        known[key] = trained(network, values, sets)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(known, indent=0), encoding="utf-8")
        print(f"setting {len(known)}: {percent(known[key][-1]['test'])}", flush=True)
    return known[key]


def trained(network: str, values: dict[str, Any], sets: list[ImageSet]) -> Record:
    """Train, and look at the test images whenever the validation images are looked at."""
    chosen, (images, validation, test) = network_named(network), sets
    record: Record = []
    validate = loop._validate

    def validate_and_test(model: Any, _: ImageSet) -> tuple[float, float, float]:
        correct = predict(model, test).argmax(1) == test.labels.cpu()
        loss, accuracy, scaled = validate(model, validation)
        epoch = {"loss": loss, "accuracy": accuracy, "scaled": scaled}
        record.append(epoch | {"test": correct.double().mean().item()})
        return loss, accuracy, scaled

    task = Task(chosen, config_from(chosen.schema, values), images, validation, 1)
    try:
        with patch.object(loop, "_validate", validate_and_test):
            fit(task, f"{network}, random settings")
    except DivergedError:
        return [{"loss": 1e6, "accuracy": 0.0, "scaled": 1e6, "test": 0.0}]
    return record


def correlations(whole: list[Record], short: dict[float, list[Record]], epochs: int) -> str:
    """Return the table of rank correlations; a lower loss is better, so its sign is turned."""
    final = [record[-1]["test"] for record in whole]
    rows = []
    for part in PARTS:
        number = at(part, epochs)
        ways = {"cut": [record[min(number, len(record)) - 1] for record in whole]}
        if part in short:
            ways["shortened"] = [record[-1] for record in short[part]]
        for schedule, examples in ways.items():
            signs = {"accuracy": 1, "loss": -1, "scaled": -1}
            coefficients = [
                spearmanr([sign * look[name] for look in examples], final).statistic for name, sign in signs.items()
            ]
            rows.append([f"{100 * part:.0f} %", schedule, *(f"{each:.2f}" for each in coefficients)])
    return table(["of the epochs", "schedule", "accuracy", "cross entropy", "the same, scaled"], rows, left=2)


def kept_epochs(whole: list[Record]) -> str:
    """Return the mean test accuracy of the epochs that each rule keeps."""
    rules: dict[str, Callable[[Record], dict[str, float]]] = {
        "lowest cross entropy": lambda record: min(record, key=lambda epoch: epoch["loss"]),
        "lowest scaled cross entropy (as stages do)": lambda record: min(record, key=lambda epoch: epoch["scaled"]),
        "highest accuracy, then lowest cross entropy": lambda record: max(
            record, key=lambda epoch: (epoch["accuracy"], -epoch["loss"])
        ),
        "the last": lambda record: record[-1],
        "best on test (nobody can)": lambda record: max(record, key=lambda epoch: epoch["test"]),
    }
    rows = [[name, percent(statistics.mean(rule(record)["test"] for record in whole))] for name, rule in rules.items()]
    return table(["epoch that is kept", "mean test accuracy"], rows)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
