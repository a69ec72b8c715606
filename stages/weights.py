"""Stage weights: bring the weights that a network starts from."""

from stages.networks.common.contract import network_named
from stages.networks.pretrained.starting_point import write_starting_point
from stages.runtime.command import run_stage
from stages.runtime.files import atomic_folder, read_json


def main(network: str) -> None:
    """Bring the weights that a network starts from: none, from a library, the Hugging Face hub or data/pretrained."""
    chosen = network_named(network)
    settings = chosen.schema(**read_json(f"data/settings/{network}/start.json"))
    with atomic_folder(f"data/weights/{network}") as folder:
        write_starting_point(chosen, settings, folder)


if __name__ == "__main__":
    run_stage(main)
