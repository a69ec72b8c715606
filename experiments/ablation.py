"""What each part of a network's training configuration is worth, beside a plain training loop as in tutorials.

    python -m experiments.ablation own_cnn original 1,2,3
    python -m experiments.ablation own_cnn original 1,2,3 plain "" mixup=0,cutmix=0 epochs=30
    python -m experiments.ablation own_cnn unequal 1,2,3 "" class_balance=sampling
    python -m experiments.ablation resnet50 original 1,2,3 "" "torch's layers"

Trains the network of params.yaml on data/original (or data/augmented) once for each seed: by a plain loop, as the
settings say (""), and with one part after the other switched off, or with the settings that are named; "torch's layers"
trains as the settings say, without the faster layers of stages/kernels. `unequal` are 10 of data/original's
images of every second class and at most 100 of every other. Prints mean and standard deviation of the accuracy on the
test images, and the mean of their macro F1. Every result goes at once to
experiments/results/ablation.json of the study's folder; what is there is not trained again.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
import yaml
from torch.nn import functional

from stages.commands.check import settings_of
from stages.evaluation.metrics import scores
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.common.prediction import predict
from stages.networks.common.settings import OnlineAugmentation, TrainingConfig, config_from
from stages.networks.common.starting_point import read_starting_point
from stages.reporting.markdown import percent, points, table
from stages.runtime.config import read_section
from stages.runtime.seeding import derived_seed, stream
from stages.training.loop import fit
from stages.training.state import Task

RESULTS = Path("experiments/results/ablation.json")
PLAIN, TORCH_LAYERS = "plain", "torch's layers"
UNEQUAL, FEW, MANY = "unequal", 10, 100
PLAIN_EPOCHS, PLAIN_BATCH, PLAIN_RATE, PLAIN_DROPOUT = 30, 32, 1e-3, 0.34  # dropout as published
OFF = {
    "label_smoothing": "0", "ema_epochs": "0", "weight_decay": "0", "warmup_epochs": "0", "dropout": "0",
    "stochastic_depth": "0", "flip": "false", "shift": "0", "crop": "1", "mixup": "0", "cutmix": "0",
    "enabled": "false", "class_balance": "none", "patience": "0", "flip_tta": "false", "optimizer": "adamw",
}  # fmt: skip


class Images(NamedTuple):
    """The sets that every variant shares."""

    training: ImageSet
    validation: ImageSet
    test: ImageSet


Loop = Callable[[str, Images, dict[str, Any], int], torch.nn.Module]


def main(network: str, data: str, seeds: list[int], wanted: list[str]) -> None:
    """Train each variant with each seed."""
    device.be_deterministic()
    device.keep_freed_memory()
    settings = settings_of(network_named(network))
    start = read_starting_point(network)
    expected = start.image_size, start.normalisation
    images = Images(
        *(
            load_images(f"data/{name}", device.device(), *expected)
            for name in ("original" if data == UNEQUAL else data, "validation", "test")
        )
    )
    if data == UNEQUAL:
        images = images._replace(training=unequal(images.training))
    base = TrainingConfig(settings, read_section("online_augmentation", OnlineAugmentation))
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        for variant in wanted or [PLAIN, "", *switched_off(base)]:
            loop = variant if variant in (PLAIN, TORCH_LAYERS) else ""
            values = {} if loop == PLAIN else changed(base, "" if loop else variant)
            key = json.dumps([network, data, seed, loop, values], sort_keys=True)
            if "macro_f1" not in known.get(key, {}):
                known[key] = measured(LOOPS[loop], network, images, values, seed)
                RESULTS.parent.mkdir(parents=True, exist_ok=True)
                RESULTS.write_text(json.dumps(known, indent=0), encoding="utf-8")
                accuracy, seconds = known[key]["accuracy"], known[key]["seconds"]
                print(f"seed {seed}, {variant or 'as set'}: {percent(accuracy)}, {seconds:.0f} s", flush=True)
            found.setdefault(variant, []).append(known[key])
    print(f"\n{network}, {data}, {len(images.training)} images, {len(seeds)} seeds, {device.description()}\n")
    print(formatted(found))


def unequal(images: ImageSet) -> ImageSet:
    """Return a set of originals without all but a few images of every second class and many of every other."""
    classes = range(len(images.class_names))
    kept = [torch.nonzero(images.labels == number)[: FEW if number % 2 else MANY, 0] for number in classes]
    rows = torch.cat(kept).sort().values
    paths = [images.paths[row] for row in rows.tolist()]
    held = images.pixels[rows.to(images.pixels.device)]
    return replace(images, pixels=held, labels=images.labels[rows], paths=paths, copies=None)


def switched_off(base: TrainingConfig) -> list[str]:
    """Return a variant for each part of the configuration that is in use."""
    values = base.settings.model_dump() | base.online_augmentation.model_dump()
    return [f"{name}={off}" for name, off in OFF.items() if name in values and values[name] != yaml.safe_load(off)]


def changed(base: TrainingConfig, variant: str) -> dict[str, Any]:
    """Return the values of a configuration with the changes that `variant` names, e.g. "mixup=0,epochs=60"."""
    values = base.values()
    for change in filter(None, variant.split(",")):
        name, _, value = change.partition("=")
        section = values if name in values else values["online_augmentation"]
        if name not in section:
            sys.exit(f"{name} is no setting of this network")
        section[name] = yaml.safe_load(value)
    return values


def measured(loop: Loop, network: str, images: Images, values: dict[str, Any], seed: int) -> dict[str, float]:
    """Return test accuracy, macro F1 and seconds of one training."""
    start = time.perf_counter()
    model = loop(network, images, values, seed)
    seconds = time.perf_counter() - start
    probabilities = predict(model, images.test).double().softmax(1).numpy()
    found = scores(probabilities, images.test.labels.cpu().numpy(), images.test.class_names)
    return {"accuracy": found["accuracy"], "macro_f1": found["macro_f1"], "seconds": round(seconds, 1)}


def ours(network: str, images: Images, values: dict[str, Any], seed: int) -> torch.nn.Module:
    """Return the network as stage train makes it."""
    chosen = network_named(network)
    config = config_from(chosen.schema, values)
    return fit(Task(chosen, config, images.training, images.validation, seed), f"{network}, seed {seed}").model


def by_torch_layers(network: str, images: Images, values: dict[str, Any], seed: int) -> torch.nn.Module:
    """Return the network as stage train would make it with torch's own layers."""
    with patch("stages.training.state.accelerate", lambda model: model):
        return ours(network, images, values, seed)


def plain(network: str, images: Images, _: dict[str, Any], seed: int) -> torch.nn.Module:
    """Return the network after 30 epochs of Adam at 1e-3, in float32, with no schedule and no augmentation."""
    module, training = network_named(network), images.training
    torch.manual_seed(derived_seed(seed, "plain"))
    values = {"weights": "none", "freeze": "none", "dropout": PLAIN_DROPOUT}
    settings = settings_of(module).model_copy(update=values)
    model: torch.nn.Module = module.build(settings, len(training.class_names), training.image_size)
    model = model.to(device.device())
    optimizer = torch.optim.Adam(model.parameters(), lr=PLAIN_RATE)
    for epoch in range(PLAIN_EPOCHS):
        model.train()
        order = torch.from_numpy(stream(seed, "plain batches", epoch).permutation(len(training)))
        for rows in torch.split(order.to(device.device()), PLAIN_BATCH):
            if len(rows) > 1:
                batch, labels = training.batch(rows)
                optimizer.zero_grad()
                functional.cross_entropy(model(batch), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return model


LOOPS: dict[str, Loop] = {"": ours, PLAIN: plain, TORCH_LAYERS: by_torch_layers}


def formatted(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the table: each variant's means, deviation and difference from the configuration as it is set."""
    means = {variant: statistics.mean(one["accuracy"] for one in runs) for variant, runs in found.items()}
    rows = []
    for variant, runs in found.items():
        deviation = statistics.stdev(one["accuracy"] for one in runs) if len(runs) > 1 else 0.0
        gain = points(means[variant] - means[""]) if "" in means else "–"
        seconds = statistics.median(one["seconds"] for one in runs)
        accuracy, f1 = percent(means[variant]), percent(statistics.mean(one["macro_f1"] for one in runs))
        rows.append([variant or "as set", accuracy, f"{100 * deviation:.1f}", gain, f1, f"{seconds:.0f} s"])
    return table(["variant", "accuracy", "deviation", "points", "macro F1", "training"], rows)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [int(seed) for seed in sys.argv[3].split(",")], sys.argv[4:])
