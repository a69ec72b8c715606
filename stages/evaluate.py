"""Stage evaluate: score a trained run on photographs it has never seen."""

from torch.nn.functional import softmax

from stages.lib import device
from stages.lib.command import run_stage
from stages.lib.files import read_json, write_json
from stages.lib.picture_sets import load_pictures
from stages.lib.prediction import predict
from stages.lib.runs import Run
from stages.lib.scores import scores
from stages.lib.weights import restore


def main(network: str, hyperparameters: str, data: str) -> None:
    """Score a trained run on photographs it has never seen."""
    run = Run(network, hyperparameters, data)
    test = load_pictures("data/test", device.device())
    trained = restore(f"data/trained/{run}/weights.safetensors", device.device())
    probabilities = softmax(predict(trained.model, test).double(), dim=1).numpy()
    write_json(f"metrics/runs/{run}.json", scores(probabilities, test.labels.cpu().numpy(), trained.class_names))
    write_json(f"metrics/costs/{run}.json", read_json(f"data/trained/{run}/timing.json"))


if __name__ == "__main__":
    run_stage(main)
