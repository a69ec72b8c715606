"""What fine-tuning a pre-trained network's last blocks adds to its head alone, and at what cost.

    python -m experiments.fine_tuning CUB_200_2011-20classes.tgz tiny-imagenet-20.tar CUB_200_2011-128px.tgz:all

Each archive is a study of efficientnet_lite0 on original images, its head fitted to features; then again with the last
two of seven stages of blocks learning for a few epochs, from that head (LP-FT: Kumar et al., 2022). Timed is what the
training itself took. `:all` takes all classes of the birds' archive, else the first 20 count. Both ways see the same
images, but that the fitted head takes validation images as well, which fine-tuning needs to choose its epoch.
"""

import sys
from pathlib import Path
from typing import Any

from experiments.pretrained_heads import NETWORK, record, repro, study_of
from helpers.projects import set_params
from helpers.timing import write_results
from stages.reporting.markdown import duration, percent, table
from stages.runtime.files import read_json

WAYS: dict[str, dict[str, object]] = {
    "head alone": {},
    "last blocks": {
        "freeze": "until_blocks_5",
        "epochs": 8,
        "learning_rate": 2e-4,
        "batch_size": 32,
        "label_smoothing": 0.0,
    },
}


def main(archives: list[str]) -> None:
    """Run the studies of each archive; print and keep what came of them."""
    measured = [measure(*archive.partition(":")[::2]) for archive in archives]
    rows = [
        [each["images"], str(each["classes"]), *(shown(each[way]) for way in WAYS), f"{gain(each):+.1f}"]
        for each in measured
    ]
    found = table(["images", "classes", *WAYS, "points gained"], rows)
    write_results("experiments/results/fine_tuning.json", measured, found)
    print(found)


def measure(archive: str, classes: str) -> dict[str, Any]:
    """Return accuracy and seconds of training of each way on an archive."""
    settings: dict[str, object] = {"study__hyperparameters": ["default"], "report__insight": False}
    with study_of(archive, classes, **settings) as folder:
        found: dict[str, Any] = {"images": Path(archive).name}
        for way, changed in WAYS.items():
            set_params(folder, **{f"networks__{NETWORK}__{name}": value for name, value in changed.items()})
            repro(folder)
            run = record(folder, "default", 1)
            cost = read_json(folder / f"metrics/costs/{NETWORK}-default-original-1.json")
            found |= {"classes": len(run["class_accuracy"]), "test_images": run["images"]}
            found[way] = {
                "accuracy": run["accuracy"],
                "loss": run["temperature_scaled_loss"],
                "seconds": cost["seconds"],
            }
    return found


def shown(way: dict[str, float]) -> str:
    """Return a cell of the table."""
    return f"{percent(way['accuracy'])}, {duration(way['seconds'])}"


def gain(measured: dict[str, Any]) -> float:
    """Return how many points better the last way is than the first."""
    first, *_, last = WAYS
    return 100 * float(measured[last]["accuracy"] - measured[first]["accuracy"])


if __name__ == "__main__":
    main(sys.argv[1:])
