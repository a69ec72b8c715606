"""Stage evaluate: score a trained run on photographs it has never seen."""

from stages.evaluation.run import evaluated, history_of, write_evaluation
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.weights import described, restore
from stages.runtime.command import run_stage
from stages.runtime.files import read_json, write_json
from stages.runtime.runs import Run


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Score a trained run on photographs it has never seen, and keep what it says of each."""
    run = Run(network, hyperparameters, data, int(seed))
    folder = f"data/trained/{run}"
    device.be_deterministic()
    device.keep_freed_memory()
    trained = restore(f"{folder}/weights.safetensors", network_named(network), device.device())
    validation, test = (
        load_images(f"data/{name}", device.device(), trained.image_size, trained.normalisation)
        for name in ("validation", "test")
    )
    settings = {"image_size": trained.image_size, **described(f"{folder}/weights.safetensors")["settings"]}
    evaluation = evaluated(trained, validation, test)
    evaluation.record.update(settings=settings, history=history_of(f"{folder}/history.csv"))
    write_evaluation(evaluation, str(run))
    write_json(f"metrics/costs/{run}.json", read_json(f"{folder}/timing.json"))


if __name__ == "__main__":
    run_stage(main)
