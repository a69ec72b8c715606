"""Stage embed: compute the features of a frozen backbone, once for each image."""

import time
from pathlib import Path

from stages.networks.common.engine import Engine
from stages.networks.common.features import write_features
from stages.networks.common.starting_point import starting_point
from stages.runtime.command import run_stage
from stages.runtime.files import atomic_folder, write_json


def main(network: str, images: str) -> None:
    """Compute the features of a frozen backbone, once for each image and its mirror image."""
    began, start = time.perf_counter(), starting_point(network)
    engine = Engine(Path(f"data/weights/{network}/graph.onnx")) if start.frozen else None
    with atomic_folder(f"data/features/{network}/{images}") as folder:
        count = write_features(folder, engine, f"data/{images}", start.image_size)
    timing = {"seconds": round(time.perf_counter() - began, 3) if count else 0.0, "images": count}
    write_json(f"data/features/{network}/{images}.json", timing)


if __name__ == "__main__":
    run_stage(main)
