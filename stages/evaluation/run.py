"""The evaluation of one run of the study: its scores, and what it says of each test image."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import softmax

from stages.evaluation.calibration import calibration
from stages.evaluation.metrics import numbered, scores
from stages.networks.common.features import read_features
from stages.networks.common.graph import WEIGHTS_FILE
from stages.networks.common.runner import Outputs, inference_runner, outputs_for
from stages.networks.common.starting_point import read_starting_point
from stages.networks.common.weights import Metadata
from stages.runtime.files import atomic_folder, read_csv


def test_outputs(network: str, folder: Path, metadata: Metadata) -> Outputs:
    """Return the logits of the network in a folder for the test images; of a frozen backbone by its features."""
    if not (start := read_starting_point(network)).frozen:
        return outputs_for(inference_runner(folder), "data/test", metadata.image_size)
    features, tensors = read_features(f"data/features/{network}/test"), load_file(folder / WEIGHTS_FILE)
    weight, bias = (tensors[f"{start.head}{name}"] for name in ("weight", "bias"))

    def logits(values: NDArray[np.float32]) -> NDArray[np.float32]:
        raised_to_power = np.sign(values) * np.abs(values) ** np.float32(metadata.head_power)
        return np.asarray(raised_to_power @ weight.T + bias, np.float32)

    both = [logits(features.features), *([logits(features.mirrored)] if metadata.settings["flip_tta"] else [])]
    return Outputs(np.mean(both, axis=0, dtype=np.float32), features.labels, features.paths, features.groups)


def record_of(outputs: Outputs, metadata: Metadata, folder: Path) -> dict[str, Any]:
    """Return the record of a run for metrics/runs: scores, calibration, settings, history, digest of the weights.

    Images stand in the order of their paths, whatever their labels: after labels were mended, they are still the same.
    """
    outputs = in_order_of_paths(outputs)
    logits = outputs.logits.astype(np.float64)
    groups = np.array(codes) if (codes := numbered(outputs.groups)) else None
    rows = read_csv(folder / "history.csv")
    augmentation = {f"online_augmentation.{name}": value for name, value in metadata.online_augmentation.items()}
    return {
        **scores(softmax(logits, axis=1), outputs.labels, metadata.class_names, outputs.groups),
        **calibration(logits, outputs.labels, metadata.temperature, groups),
        "test_images_sha256": hashlib.sha256(json.dumps(outputs.paths).encode()).hexdigest(),
        "none_of_these_below": metadata.none_of_these_below,
        "settings": {"image_size": metadata.image_size, **metadata.settings, **augmentation},
        "history": {name: [float(row[f"validation_{name}"]) for row in rows] for name in ("accuracy", "loss")},
        "weights_sha256": hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest(),
    }


def in_order_of_paths(outputs: Outputs) -> Outputs:
    """Return the same outputs, sorted by path."""
    order = sorted(range(len(outputs.paths)), key=outputs.paths.__getitem__)
    paths, groups = ([names[at] for at in order] for names in (outputs.paths, outputs.groups))
    return Outputs(outputs.logits[order], outputs.labels[order], paths, groups)


def write_predictions(run: str, outputs: Outputs, metadata: Metadata) -> None:
    """Write a row for each test image: path, label, group and logits; class names and temperature in the metadata."""
    columns: Mapping[str, Sequence[Any]] = {
        "path": outputs.paths,
        "label": list(outputs.labels),
        "group": outputs.groups,
        "logits": list(outputs.logits),
    }
    described = {"class_names": metadata.class_names, "temperature": metadata.temperature}
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    noted = {"study": json.dumps(described, sort_keys=True, ensure_ascii=False)}
    with atomic_folder(f"data/predictions/{run}") as folder:
        pq.write_table(table.replace_schema_metadata(noted), folder / "predictions.parquet", compression="zstd")
