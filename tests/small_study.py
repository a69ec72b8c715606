"""Small studies in this process, in seconds: their networks are frozen, or not trained at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from helpers.projects import set_params
from stages import configure, embed, evaluate, fetch, prepare, train, tune, weights
from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.prediction import predict
from stages.networks.common.settings import config_from
from stages.networks.common.starting_point import new_network, read_starting_point
from stages.runtime.files import read_json, write_json
from stages.runtime.runs import Run
from stages.training.history import Epoch
from stages.training.loop import TrainingResult
from stages.training.state import Task
from stages.training.writing import write_training
from tests.conftest import PARAMS, network_settings


def prepare_images(pictures: Path, networks: Mapping[str, Mapping[str, Any]], **values: object) -> None:
    """In the folder one is in, bring and prepare images for a study of some networks with these settings."""
    Path("params.yaml").write_bytes(PARAMS.read_bytes())
    set_params(Path(), dataset__source="folder", dataset__classes="all", dataset__folder__path=str(pictures))
    set_params(Path(), study__networks=list(networks), study__hyperparameters=["default"], study__data=["original"])
    set_params(Path(), networks={name: dict(settings) for name, settings in networks.items()}, **values)
    fetch.main()
    prepare.main()
    configure.main()


def write_random_weights(network: str, name: str = "random", seed: int = 0, size: int = 64) -> str:
    """Write a file of random weights for `networks.<network>.weights`; return its path."""
    torch.manual_seed(seed)
    file = Path(f"data/pretrained/{network}/{name}.safetensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(network_named(network).build(network_settings(network), 9, size).state_dict(), file)
    return str(file)


def embed_images(network: str) -> None:
    """Bring a network's weights, and the features of all images."""
    weights.main(network)
    for images in ("original", "validation", "test"):
        embed.main(network, images)


def fit_head(network: str, hyperparameters: str = "default") -> str:
    """Tune, train and evaluate a network whose backbone is frozen; return the name of its run."""
    tune.main(network)
    train.main(network, hyperparameters, "original", "1")
    evaluate.main(network, hyperparameters, "original", "1")
    return str(Run(network, hyperparameters, "original", 1))


def write_untrained(network: str, seed: int = 0) -> str:
    """Write a network's random weights as those of a trained run, and evaluate it; return the name of the run."""
    weights.main(network)
    run, chosen = Run(network, "default", "original", 1), network_named(network)
    config = config_from(chosen.schema, read_json(f"data/settings/{network}/training.json"))
    start, cpu = read_starting_point(network), device.device()
    original, validation = (
        load_images(f"data/{name}", cpu, start.image_size, start.normalisation) for name in ("original", "validation")
    )
    torch.manual_seed(seed)
    model = new_network(chosen, config.settings, len(original.class_names), start.image_size)
    head = model.eval().get_submodule(chosen.head.rstrip("."))
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():  # whose answers differ from image to image
        logits = predict(model, validation)
        head.weight /= logits.std(0)[:, None]
        head.bias.sub_(logits.mean(0)).div_(logits.std(0))
    history = [Epoch(1, 0.001, 1.0, 0.5, 1.0, 0.5, 1.0)]
    folder = Path(f"data/trained/{run}")
    folder.mkdir(parents=True, exist_ok=True)
    write_training(Task(chosen, config, original, validation, 1), TrainingResult(model, history, 1.0), folder)
    write_json(f"data/hyperparameters/{network}/default.json", config.values())
    evaluate.main(*map(str, run))
    return str(run)
