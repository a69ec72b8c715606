"""Records of runs as evaluate writes them, made up, for tests of what is made of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.evaluation.examples import encode_heat_map, md5_of, write_predictions
from stages.images.reading import encode
from stages.reporting.records import COSTS
from stages.runtime.files import write_json
from stages.runtime.runs import Run

TRAINED = ("images", "epochs", "best_epoch", "epochs_to_95_percent")
GREY = encode(np.full((32, 32, 3), 128, np.uint8), 95)


def write_run(run: Run, correct: int, /, **changes: object) -> None:
    """Write the records of a run that names the first so many of 40 test images correctly: 20 crows, then 20 jays."""
    examples = write_test_examples(run)
    write_json(
        f"metrics/runs/{run}.json",
        {
            "accuracy": correct / 40, "top5_accuracy": 1.0, "macro_f1": correct / 40, "loss": 1.5, "images": 40,
            "class_accuracy": {"crow": 1.0, "jay": correct / 20 - 1},
            "confusion": [[20, 0], [40 - correct, correct - 20]],
            "correct": "1" * correct + "0" * (40 - correct), "calibration_error": 0.125, "temperature": 1.5,
            "temperature_scaled_calibration_error": 0.041, "temperature_scaled_loss": 1.25, "none_of_these_below": 0.3,
            "examples": examples,
            "settings": {"image_size": 64, "learning_rate": 0.002, "optimizer": "muon"},
            "history": {"accuracy": [0.25, 0.5], "loss": [2.25, 2.0]},
            "reliability": {when: [{"stated": 0.6, "correct": 0.5, "images": 40}] for when in ("before", "after")},
        }
        | {name: value for name, value in changes.items() if name not in COSTS and name not in TRAINED},
    )  # fmt: skip
    write_json(
        f"metrics/costs/{run}.json",
        {
            "seconds": 60.0, "images_per_second": 100.0, "images": 600, "epochs": 6,
            "best_epoch": 5, "epochs_to_95_percent": {"resnet50": 3}.get(run.network, 4),
            "parameters": 2_162_388, "peak_memory_megabytes": 1000, "device": "CPU, 2 threads",
            "precision": "bfloat16", "libraries": "Python 3.11.7, torch 2.14.1, torchvision 0.29.1",
        }
        | {name: value for name, value in changes.items() if name in COSTS or name in TRAINED},
    )  # fmt: skip


def write_test_examples(run: Run) -> str:
    """Write a mistake and an image of a hard class of a run, as evaluate keeps them; return the file's digest."""
    file = Path(f"data/predictions/{run}/examples.parquet")
    columns: dict[str, list[Any]] = {
        "path": ["crow/1.jpg", "jay/2.jpg"], "label": [0, 1], "predicted": [1, 1], "probability": [0.9, 0.4],
        "why": ["confident mistake", "hard class"], "image": [GREY] * 2,
        "heat_map": [encode_heat_map(np.eye(4, dtype=np.float32))] * 2,
    }  # fmt: skip
    write_predictions(file, columns, {})
    return md5_of(file)


def write_data() -> None:
    """Write what the report reads of the stages before: lists of what was left out, splits, and altered copies."""
    Path("data").mkdir(exist_ok=True)
    Path("data/skipped.csv").write_text("file,reason\n", encoding="utf-8")
    Path("data/duplicates.csv").write_text("file,same_as,kind,distance,leak,dropped\n", encoding="utf-8")
    origins = {"original": "the source's own train/", "validation": "15 % of it", "test": "the source's own test/"}
    splits = {name: {"origin": origin, "images": 1200} for name, origin in origins.items()}
    write_json("data/composition.json", {"left_out_classes": {}, "splits": splits})
    drawn = {"shift_x": 0.1, "shift_y": -0.05, "hue": 9.6, "gamma": 1.25, "rotation": -15.0}
    pq.write_table(pa.Table.from_pylist([{"original": GREY, "copy": GREY, **drawn}] * 2), "data/copies.parquet")
