"""How many images a second networks answer by ONNX Runtime, as this project runs them, and by torch in eager mode.

    python -m benchmarks.inference

Each network sees images of its own size, from random weights, in float32; both sides take turns, and torch has
channels_last. The ten of docs/references/networks.md are among them.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from helpers.timing import machine, write_results
from stages.networks.common import graph
from stages.networks.common.contract import NetworkDefinition, Normalisation, network_named
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.timm import Timm
from stages.reporting.markdown import table

OWN = {"own_cnn": 64, "resnet50": 224, "efficientnet_lite0": 224}  # pixels a side
OF_TIMM = (
    "mobilenetv3_large_100.ra_in1k",
    "efficientnet_b0.ra_in1k",
    "resnet50.a1_in1k",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "tf_efficientnet_lite4.in1k",
    "convnext_nano.in12k_ft_in1k",
    "tf_efficientnetv2_s.in21k_ft_in1k",
    "convnext_tiny.in12k_ft_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "vit_small_patch14_dinov2.lvd142m",
)
CLASSES, BATCH, ROUNDS, ROUND_SECONDS = 20, 32, 3, 2.0


def main() -> None:
    """Measure all, print and keep the table."""
    print(f"{machine()}\n")
    networks: dict[str, tuple[NetworkDefinition[Any], int]] = {
        **{name: (network_named(name), size) for name, size in OWN.items()},
        **{name: (Timm(name), Timm(name).weights_image_size) for name in OF_TIMM},
    }
    sizes, rates = {name: size for name, (_, size) in networks.items()}, {}
    for name, (network, size) in networks.items():
        rates[name] = measured(network, size)
        print(name, size, rates[name], flush=True)
    found = shown(sizes, rates)
    write_results("benchmarks/results/inference.json", {"pixels": sizes, "images/s": rates}, found)
    print(found)


def shown(sizes: Mapping[str, int], rates: Mapping[str, Mapping[str, list[float]]]) -> str:
    """Return the medians as a table."""
    rows = [
        [name, str(sizes[name]), *(f"{median(each[side]):,.{0 if median(each[side]) >= 100 else 1}f}" for side in each)]
        for name, each in rates.items()
    ]
    return table(["network", "pixels", "images/s", "torch, images/s"], rows)


def measured(network: NetworkDefinition[Any], size: int) -> dict[str, list[float]]:
    """Return the images a second of each round, of both sides."""
    torch.manual_seed(0)
    model = network.build(network.schema(), CLASSES, size).eval()
    normalisation = Normalisation((127.5,) * 3, (127.5,) * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    with TemporaryDirectory() as name:
        folder = Path(name)
        exported = graph.export_graph(model, network.head.rstrip("."), normalisation, size)
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / graph.WEIGHTS_FILE)
        graph.save(graph.bind(exported, folder / graph.WEIGHTS_FILE), folder)
        runner = OnnxRunner(folder / "graph.onnx")
        model.to(memory_format=torch.channels_last)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().to(memory_format=torch.channels_last)
        sides: dict[str, Callable[[], object]] = {
            "ours": lambda: runner.run(pixels, "logits"),
            "torch": lambda: model(images),
        }
        with torch.inference_mode():
            for work in sides.values():
                work()
            turns = [{side: images_per_second(work) for side, work in sides.items()} for _ in range(ROUNDS)]
    return {side: [turn[side] for turn in turns] for side in sides}


def images_per_second(work: Callable[[], object]) -> float:
    """Return the rate of batches, of at least one and as many as a round takes."""
    start, batches = time.perf_counter(), 0
    while not batches or time.perf_counter() - start < ROUND_SECONDS:
        work()
        batches += 1
    return BATCH * batches / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
