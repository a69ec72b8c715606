"""What each part of a network's recipe is worth, beside the plain training loop that most tutorials show.

    python -m benchmarks.ablation own_cnn original 1,2,3
    python -m benchmarks.ablation own_cnn original 1,2,3 plain "" mixup=0,cutmix=0 epochs=30
    python -m benchmarks.ablation resnet50 original 1,2,3 "" "torch's layers"

Trains the network of params.yaml on data/original (or data/augmented) once for each seed: by a plain loop, as the
settings say (""), and with one part after the other switched off, or with the settings that are named; "torch's layers"
trains as the settings say, without the faster layers of stages/lib. Prints mean and standard deviation of the accuracy
on the test pictures. Every result goes to benchmarks/ablation.json at once; what is there is not trained again.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import yaml
from torch.nn import functional

from stages.lib import device
from stages.lib.hyperparameters import OnTheFly, Recipe, recipe
from stages.lib.networks import network_module
from stages.lib.params import read
from stages.lib.picture_sets import PictureSet, load_pictures
from stages.lib.prediction import predict
from stages.lib.pretrained import input_size, new_network
from stages.lib.streams import stream, stream_seed
from stages.lib.tables import percent, points, table
from stages.lib.training import Task, fit

RESULTS = Path("benchmarks/ablation.json")
PLAIN, TORCH_LAYERS = "plain", "torch's layers"
PLAIN_EPOCHS, PLAIN_BATCH, PLAIN_RATE, PLAIN_DROPOUT = 30, 32, 1e-3, 0.34  # dropout as published
OFF = {
    "label_smoothing": "0", "ema_epochs": "0", "weight_decay": "0", "warmup_epochs": "0", "dropout": "0",
    "stochastic_depth": "0", "flip": "false", "shift": "0", "crop": "1", "mixup": "0", "cutmix": "0",
    "enabled": "false",
}  # fmt: skip


class Pictures(NamedTuple):
    """The sets that every variant shares."""

    training: PictureSet
    validation: PictureSet
    test: PictureSet


Loop = Callable[[str, Pictures, dict[str, Any], int], torch.nn.Module]


def main(network: str, data: str, seeds: list[int], wanted: list[str]) -> None:
    """Train each variant with each seed."""
    device.be_deterministic()
    device.keep_freed_memory()
    settings = read(f"networks.{network}", network_module(network).Settings)
    size = input_size(network, settings)
    pictures = Pictures(
        *(load_pictures(f"data/{name}", device.device(), size) for name in (data, "validation", "test"))
    )
    base = Recipe(settings, read("on_the_fly", OnTheFly))
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        for variant in wanted or [PLAIN, "", *switched_off(base)]:
            loop = variant if variant in (PLAIN, TORCH_LAYERS) else ""
            values = {} if loop == PLAIN else changed(base, "" if loop else variant)
            key = json.dumps([network, data, seed, loop, values], sort_keys=True)
            if key not in known:
                known[key] = measured(LOOPS[loop], network, pictures, values, seed)
                RESULTS.write_text(json.dumps(known, indent=0), encoding="utf-8")
                accuracy, seconds = known[key]["accuracy"], known[key]["seconds"]
                print(f"seed {seed}, {variant or 'as set'}: {percent(accuracy)}, {seconds:.0f} s", flush=True)
            found.setdefault(variant, []).append(known[key])
    print(f"\n{network}, {data}, {len(pictures.training)} pictures, {len(seeds)} seeds, {device.description()}\n")
    print(shown(found))


def switched_off(base: Recipe) -> list[str]:
    """Return a variant for each part of the recipe that is in use."""
    values = base.settings.model_dump() | base.on_the_fly.model_dump()
    return [f"{name}={off}" for name, off in OFF.items() if name in values and values[name] != yaml.safe_load(off)]


def changed(base: Recipe, variant: str) -> dict[str, Any]:
    """Return the values of a recipe with the changes that `variant` names, e.g. "mixup=0,epochs=60"."""
    values = base.values()
    for change in filter(None, variant.split(",")):
        name, _, value = change.partition("=")
        section = values if name in values else values["on_the_fly"]
        if name not in section:
            sys.exit(f"{name} is no setting of this network")
        section[name] = yaml.safe_load(value)
    return values


def measured(loop: Loop, network: str, pictures: Pictures, values: dict[str, Any], seed: int) -> dict[str, float]:
    """Return test accuracy and seconds of one training."""
    start = time.perf_counter()
    model = loop(network, pictures, values, seed)
    seconds = time.perf_counter() - start
    right = predict(model, pictures.test).argmax(1) == pictures.test.labels.cpu()
    return {"accuracy": right.double().mean().item(), "seconds": round(seconds, 1)}


def ours(network: str, pictures: Pictures, values: dict[str, Any], seed: int) -> torch.nn.Module:
    """Return the network as stage train makes it."""
    told, module = recipe(network, values), network_module(network)
    classes, size = len(pictures.training.class_names), pictures.training.image_size
    task = Task(pictures.training, pictures.validation, told, module.HEAD, seed)
    return fit(lambda: new_network(network, told.settings, classes, size), task, f"{network}, seed {seed}").model


def by_torch_layers(network: str, pictures: Pictures, values: dict[str, Any], seed: int) -> torch.nn.Module:
    """Return the network as stage train would make it with torch's own layers."""
    with patch("stages.lib.training.with_faster_layers", lambda model: model):
        return ours(network, pictures, values, seed)


def plain(network: str, pictures: Pictures, _: dict[str, Any], seed: int) -> torch.nn.Module:
    """Return the network after 30 epochs of Adam at 1e-3, in float32, with no schedule and no augmentation."""
    module, training = network_module(network), pictures.training
    torch.manual_seed(stream_seed(seed, "plain"))
    values = read(f"networks.{network}", dict) | {"weights": "none", "freeze": "none"}
    if "dropout" in values:
        values["dropout"] = PLAIN_DROPOUT
    model: torch.nn.Module = module.build(module.Settings(**values), len(training.class_names), training.image_size)
    model = model.to(device.device())
    optimizer = torch.optim.Adam(model.parameters(), lr=PLAIN_RATE)
    for epoch in range(PLAIN_EPOCHS):
        model.train()
        order = torch.from_numpy(stream(seed, "plain batches", epoch).permutation(len(training)))
        for rows in torch.split(order.to(device.device()), PLAIN_BATCH):
            if len(rows) > 1:
                images, labels = training.batch(rows)
                optimizer.zero_grad()
                functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return model


LOOPS: dict[str, Loop] = {"": ours, PLAIN: plain, TORCH_LAYERS: by_torch_layers}


def shown(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the table: each variant's mean, deviation and difference from the recipe as it is set."""
    means = {variant: statistics.mean(one["accuracy"] for one in runs) for variant, runs in found.items()}
    rows = []
    for variant, runs in found.items():
        deviation = statistics.stdev(one["accuracy"] for one in runs) if len(runs) > 1 else 0.0
        gain = points(means[variant] - means[""]) if "" in means else "–"
        seconds = statistics.median(one["seconds"] for one in runs)
        rows.append([variant or "as set", percent(means[variant]), f"{100 * deviation:.1f}", gain, f"{seconds:.0f} s"])
    return table(["variant", "accuracy", "deviation", "points", "training"], rows)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(seed) for seed in sys.argv[3].split(",")], sys.argv[4:])
