"""Stage embed: compute the features of a frozen backbone, once for each image."""

import time
from pathlib import Path

from stages.networks.common.features import write_features, write_no_features
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.starting_point import read_starting_point
from stages.runtime.command import run_stage
from stages.runtime.files import atomic_folder, read_json, write_json


def main(network: str, images: str) -> None:
    """Compute the features of a frozen backbone, once for each image and its mirror image.

    Of other networks, and of images that no run of the study takes, there are none.
    """
    began, start = time.perf_counter(), read_starting_point(network)
    timing = {"seconds": 0.0, "images": 0}
    with atomic_folder(f"data/features/{network}/{images}") as folder:
        if start.frozen and read_json(f"data/settings/{network}/{images}.json")["used"]:
            runner = OnnxRunner(Path(f"data/weights/{network}/graph.onnx"))
            copies = images == "augmented"  # whose originals have features of their own
            count = write_features(folder, runner, f"data/{images}", start.image_size, copies_alone=copies)
            timing = {"seconds": round(time.perf_counter() - began, 3), "images": count}
        else:
            reason = "no run takes these images" if start.frozen else f"{network} is not frozen"
            print(f"nothing to compute: {reason}")
            write_no_features(folder, f"data/{images}")
    write_json(f"data/features/{network}/{images}.json", timing)


if __name__ == "__main__":
    run_stage(main)
