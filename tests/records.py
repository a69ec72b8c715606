"""Records of runs as evaluate writes them, made up, for tests of what is made of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.evaluation.metrics import numbers
from stages.explanation.examples import encode_heat_map, write_examples
from stages.images.reading import encode
from stages.images.shards import Row, ShardWriter
from stages.insight import COLUMNS
from stages.reporting.costs import COSTS
from stages.runtime.files import write_csv, write_json
from stages.runtime.runs import Run

TRAINED = ("images", "epochs", "best_epoch", "epochs_to_95_percent")
GREY = encode(np.full((32, 32, 3), 128, np.uint8), 95)
NAMES = ("crow", "jay")


def write_run(run: Run, correct: int, /, **changes: object) -> None:
    """Write the records of a run that names the first so many of 40 test images correctly: 20 crows, then 20 jays."""
    labels = np.arange(40) // 20
    predicted = np.where(np.arange(40) < correct, labels, 1 - labels)
    errors = {"": 0.125, "temperature_scaled_": 0.041}
    record: dict[str, Any] = {
        "accuracy": correct / 40, "balanced_accuracy": correct / 40, "ranked_by": "accuracy", "top5_accuracy": 1.0,
        "macro_f1": correct / 40, "loss": 1.5, "images": 40, "labels": numbers(labels), "predicted": numbers(predicted),
        "groups": "", "test_images_sha256": "0" * 64,
        "class_accuracy": {"crow": min(1.0, correct / 20), "jay": max(0.0, correct / 20 - 1)},
        "temperature": 1.5, "temperature_scaled_loss": 1.25, "none_of_these_below": 0.3,
        "settings": {"image_size": 64, "learning_rate": 0.002, "optimizer": "muon", "weights": "none"},
        "history": {"accuracy": [0.25, 0.5], "loss": [2.25, 2.0]},
        "reliability": {
            when: [
                {"stated": stated, "correct": stated - 0.1, "images": 20, "low": stated - 0.3, "high": stated + 0.1}
                for stated in (0.6, 0.9)
            ]
            for when in ("before", "after")
        },
    }  # fmt: skip
    for prefix, error in errors.items():
        record[f"{prefix}calibration_error"] = error
        record[f"{prefix}calibration_error_by_chance"] = 0.035
        record[f"{prefix}calibration_error_most_by_chance"] = 0.06
    kept = {name: value for name, value in changes.items() if name not in COSTS and name not in TRAINED}
    write_json(f"metrics/runs/{run}.json", record | kept)
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


def of_classes(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return what `write_run` is to write of a run on other classes, from how many are taken for what."""
    counts = np.array(confusion)
    labels, predicted = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    recall = counts.diagonal() / np.maximum(1, counts.sum(axis=1))
    return {
        "class_accuracy": dict(zip(names, recall.tolist(), strict=True)),
        "labels": numbers(labels),
        "predicted": numbers(predicted),
    }


def write_data(names: Sequence[str] = NAMES) -> None:
    """Write what the report reads of the stages before: images, what was left out, examples, and altered copies."""
    Path("data").mkdir(exist_ok=True)
    Path("data/skipped.csv").write_text("file,reason\n", encoding="utf-8")
    Path("data/duplicates.csv").write_text("file,same_as,kind,distance,leak,dropped\n", encoding="utf-8")
    origins = {
        "original": "the source's own training images",
        "validation": "15 % of it",
        "test": "the source's own test images",
    }
    splits = {name: {"origin": origin, "images": 1200} for name, origin in origins.items()}
    write_json("data/composition.json", {"left_out_classes": {}, "splits": splits, "confirmed_labels": []})
    for split in splits:
        with ShardWriter(Path(f"data/{split}"), names) as writer:
            for label in range(len(names)):
                writer.add(Row(GREY, f"{label}/1.jpg", label))
    drawn = {"shift_x": 0.1, "shift_y": -0.05, "hue": 9.6, "gamma": 1.25, "rotation": -15.0}
    pq.write_table(pa.Table.from_pylist([{"original": GREY, "copy": GREY, **drawn}] * 2), "data/copies.parquet")
    columns: dict[str, list[Any]] = {
        "path": ["crow/1.jpg", "jay/2.jpg"], "label": [0, 1], "predicted": [1, 1], "probability": [0.9, 0.4],
        "why": ["confident mistake", "hard class"], "image": [GREY] * 2,
        "heat_map": [encode_heat_map(np.eye(4, dtype=np.float32))] * 2,
    }  # fmt: skip
    write_examples("data/examples.parquet", columns, names)
    write_no_insight()


def write_no_insight() -> None:
    """Write what the stage insight does where nobody wants it."""
    write_json("data/insight/insight.json", {})
    Path("data/doubtful.csv").write_text(",".join(COLUMNS) + "\n", encoding="utf-8")


def write_insight(names: Sequence[str] = NAMES) -> None:
    """Write what insight found in four images: a doubtful one, a pair of one scene, a curve, and a map."""
    files = [f"{name}/{number}.jpg" for name in names for number in (1, 2)]
    image = [{"file": file, "split": "test", "class": name} for file, name in zip(files[1:3], names, strict=True)]
    pair = {"similarity": 0.5, "images": image}
    points = [(10, [0.5, 0.6]), (20, [0.6, 0.7]), (40, [0.75])]
    counts = {"training": 2, "validation": 0, "test": 2}
    found = {
        "run": "resnet50-tuned-augmented-1", "frozen": True, "confirmed": 0,
        "images": counts, "doubtful": counts | {"training": 1, "test": 0},
        "curve": {
            "points": [{"images": images, "accuracy": accuracy} for images, accuracy in points],
            "prediction": {"images": 80, "accuracy": 0.8, "low": 0.76, "high": 0.83},
            "gains": {name: 0.25 * at for at, name in enumerate(names)},
        },
        "same_scene": {"pairs": 1, "with_test": 1, "shown": [pair]},
        "confused": [{"one": names[0], "other": names[1], "times": 7, "pairs": [pair]}],
    }  # fmt: skip
    write_json("data/insight/insight.json", found)
    doubt = [files[0], "training", names[0], names[1], 0.01, 0.9]
    write_csv("data/doubtful.csv", COLUMNS, [dict(zip(COLUMNS, doubt, strict=True))])
    pq.write_table(pa.table({"file": files, "image": [GREY] * 4}), "data/insight/images.parquet")
    places = {
        "file": files,
        "label": [0, 0, 1, 1],
        "split": ["training", "test", "training", "test"],
        "x": [0.0, 1, 1, 0],
    }
    places |= {"y": [0.5, 1, 0, 1], "doubtful": [True, False, False, False], "image": [GREY, GREY, GREY, None]}
    pq.write_table(pa.table(places), "data/insight/map.parquet")


def write_trials(network: str, trials: int = 6) -> None:
    """Write the table of a search, the last of whose trials diverged if there are several, and others were pruned."""
    rows = [
        f"{number},{'pruned' if number % 3 == 2 else 'complete'},{1.5 - number / (2 * trials)},5,"
        f"{0.001 * (1 + number)},{'muon' if number % 2 else 'adamw'},{5 + number % 2},{1 - number / (2 * trials)},0.125"
        for number in range(max(1, trials - 1))
    ]
    text = (
        "trial,state,validation_temperature_scaled_loss,trained_epochs,learning_rate,optimizer,epochs,"
        "online_augmentation.crop,online_augmentation.shift\n"
    )
    file = Path(f"data/hyperparameters/{network}/trials.csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    diverged = [f"{trials - 1},diverged,,5,0.5,muon,5,1,0.125"] if trials > 1 else []
    file.write_text(text + "\n".join([*rows, *diverged]) + "\n", encoding="utf-8")
