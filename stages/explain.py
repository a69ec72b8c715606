"""Stage explain: show what the best run got wrong, and where it looked."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load_file

from stages.explanation.activation_maps import class_activation_maps
from stages.explanation.examples import choose_examples, encode_heat_map, write_examples
from stages.images.preparation import at_size
from stages.images.reading import decode
from stages.images.shards import read_rows
from stages.networks.common.contract import network_named
from stages.networks.common.runner import Images, OnnxRunner
from stages.networks.common.starting_point import read_starting_point
from stages.networks.common.weights import Metadata, required_metadata, restore
from stages.reporting.records import best_run, records_of_study
from stages.runtime.command import run_stage
from stages.runtime.config import read_section
from stages.runtime.study import Study
from stages.statistics.temperature import scaled_probabilities


def main() -> None:
    """Show what the best run got wrong, and where it looked."""
    study = read_section("study", Study)
    run = best_run(records_of_study(study), study)
    weights = Path(f"data/trained/{run}/weights.safetensors")
    metadata = required_metadata(weights)
    predictions = pq.read_table(f"data/predictions/{run}/predictions.parquet")
    logits = np.array(predictions["logits"].to_pylist(), np.float64)
    probabilities, labels = scaled_probabilities(logits, metadata.temperature), predictions["label"].to_numpy()
    examples = choose_examples(probabilities, labels)
    rows = [example.row for example in examples]
    encoded = {index: row.encoded for index, row in enumerate(read_rows("data/test")) if index in set(rows)}
    predicted = probabilities[rows].argmax(axis=1)
    images = [at_size(decode(encoded[row]), metadata.image_size) for row in rows]
    maps = list(heat_maps(weights.parent, metadata, np.stack(images), predicted)) if rows else []
    columns = {
        "path": [predictions["path"][row].as_py() for row in rows],
        "label": [int(labels[row]) for row in rows],
        "predicted": predicted.tolist(),
        "probability": probabilities[rows].max(axis=1).tolist() if rows else [],
        "why": [example.why for example in examples],
        "image": [encoded[row] for row in rows],
        "heat_map": [encode_heat_map(each) for each in maps],
    }
    write_examples("data/examples.parquet", columns, metadata.class_names)


def heat_maps(folder: Path, metadata: Metadata, images: Images, classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return where the network in a folder saw these classes (n,) in images (n, size, size, 3): maps (n, h, w)."""
    runner = OnnxRunner(folder / "graph.onnx")
    if "feature_map" in runner.output_names():
        (maps,) = runner.run(images, "feature_map")
        weight = load_file(folder / "weights.safetensors")[f"{read_starting_point(metadata.network).head}weight"]
        return class_activation_maps(maps[: len(images)], weight, classes, metadata.head_power)
    import torch  # takes seconds

    from stages.explanation.grad_cam import grad_cam
    from stages.hardware import device
    from stages.networks.common.prediction import normalised

    device.be_deterministic()
    batch = normalised(torch.from_numpy(images).to(device.device()), metadata.normalisation)
    model = restore(folder / "weights.safetensors", network_named(metadata.network), device.device())
    return grad_cam(model, batch, classes)


if __name__ == "__main__":
    run_stage(main)
