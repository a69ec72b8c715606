"""Features of a frozen backbone at 224 pixels, JPEG decoding included, beside timm's own loop and the engine alone.

    python -m benchmarks.features

All three run EfficientNet-Lite0 on the same JPEG files, each in a process of its own, in turns. Ours reads them from
shards and asks for each image and its mirror image, as the stage embed does; timm's loop is a DataLoader with two
workers in float32, channels_last, without gradients; the engine alone is given the same pixels again and again.
"""

import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from helpers.image_files import write_jpeg_images
from helpers.projects import copy_project, run, set_params
from helpers.timing import Pause, Side, machine, ratio, seconds, take_turns, write_results
from stages.hardware import device
from stages.images.shards import read_rows
from stages.networks.common.features import write_features
from stages.networks.common.runner import BATCH_SIZE, OnnxRunner, decoded_batches
from stages.reporting.markdown import table

NETWORK, SIZE, IMAGES, WORKERS, ROUNDS = "efficientnet_lite0", 224, 320, 2, 5
VIEWS = 2  # of each image: itself and its mirror image
GRAPH = f"data/weights/{NETWORK}/graph.onnx"


def ours(folder: Path, pause: Pause) -> None:
    """Write the features of a folder of shards, as the stage embed does."""
    os.chdir(folder)
    while True:
        pause()
        write_features(folder, OnnxRunner(Path(GRAPH)), "data/original", SIZE)


def engine_alone(folder: Path, pause: Pause) -> None:
    """Ask for as many features of images that are decoded already."""
    os.chdir(folder)
    engine, (_, images) = OnnxRunner(Path(GRAPH)), next(decoded_batches(read_rows("data/original"), SIZE))
    while True:
        pause()
        for _ in range(VIEWS * IMAGES // BATCH_SIZE):
            engine.run(np.ascontiguousarray(images), "features")


def timms_loop(folder: Path, pause: Pause) -> None:
    """Ask timm's network for one feature vector of each file."""
    import timm
    import torch
    from timm.data import create_dataset, create_loader

    architecture, size = "tf_efficientnet_lite0", (3, SIZE, SIZE)
    model = timm.create_model(architecture, num_classes=0).eval().to(memory_format=torch.channels_last)
    images = create_dataset("", root=str(folder / "mine"))
    loader = create_loader(images, size, BATCH_SIZE, num_workers=WORKERS, device=device.device())
    while True:
        pause()
        with torch.inference_mode():
            for batch, _ in loader:
                model(batch.contiguous(memory_format=torch.channels_last))


def main() -> None:
    """Time the three; print and keep features a second."""
    with TemporaryDirectory(prefix="features.") as name:
        folder = Path(name)
        copy_project(folder)
        write_jpeg_images(folder / "mine", IMAGES, SIZE, classes=2)
        set_params(folder, study__networks=[NETWORK], dataset__source="folder", dataset__classes="all")
        shares = {"validation_fraction": 0.01, "test_fraction": 0.01}
        set_params(folder, dataset__folder__path="mine", prepare={"image_size": SIZE, **shares})
        run("dvc", "repro", "-q", "prepare", f"weights@{NETWORK}", folder=folder)
        works = {"ours": ours, "the engine alone": engine_alone, "timm's loop": timms_loop}
        sides = {side: Side(work, folder) for side, work in works.items()}
        times = {side: seconds(turns) for side, turns in take_turns(sides, ROUNDS).items()}
        counted = sum(1 for _ in read_rows(folder / "data/original"))
        for side in sides.values():
            side.connection.close()
            side.process.join()
    features = {"ours": VIEWS * counted, "the engine alone": VIEWS * IMAGES, "timm's loop": IMAGES}
    each = {side: [spent / features[side] for spent in values] for side, values in times.items()}
    rows = [[side, f"{1 / median(values):.0f}", f"{ratio(each['ours'], values):.2f}"] for side, values in each.items()]
    found = table(["side", "features/s", "seconds, ours being 1"], rows)
    write_results("benchmarks/results/features.json", times, found)
    print(f"{machine()}\n\n{found}")


if __name__ == "__main__":
    main()
