"""Stage evaluate: score a trained run on photographs it has never seen."""

from pathlib import Path

from stages.evaluation.run import record_of, test_outputs, write_predictions
from stages.networks.common.weights import required_metadata
from stages.runtime.command import run_stage
from stages.runtime.files import read_json, write_json
from stages.runtime.runs import Run, referred


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Score a trained run on photographs it has never seen, and keep what it says of each.

    A run that is the same as another refers to that.
    """
    run = Run(network, hyperparameters, data, int(seed))
    folder = Path(f"data/trained/{run}")
    if same := referred(folder):
        write_json(f"data/predictions/{run}/same_as.json", {"same_as": same})
        for kind in ("runs", "costs"):
            write_json(f"metrics/{kind}/{run}.json", {"same_as": same})
        return
    metadata = required_metadata(folder / "weights.safetensors")
    outputs = test_outputs(network, folder, metadata)
    write_predictions(str(run), outputs, metadata)
    write_json(f"metrics/runs/{run}.json", record_of(outputs, metadata, folder))
    write_json(f"metrics/costs/{run}.json", read_json(folder / "timing.json"))


if __name__ == "__main__":
    run_stage(main)
