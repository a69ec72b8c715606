"""Stage tune: search a network's hyperparameters on the validation images."""

from pathlib import Path
from tempfile import TemporaryDirectory

from stages.networks.common.contract import network_named
from stages.networks.common.settings import Search, config_from
from stages.networks.common.starting_point import read_starting_point
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from stages.tuning.results import SearchResult, write_hyperparameters

HELPER = "only-trials"  # of a process beside the one that DVC has started, which alone writes what is found


def main(network: str, role: str = "") -> None:
    """Search a network's hyperparameters on the validation images, and keep what the search has trained.

    Where no run of the study is tuned, nothing is searched. The head of a frozen backbone is searched by
    cross-validation on its features.
    """
    if role not in ("", HELPER):
        raise UserError(f"{role} is no way to tune; say {HELPER} to help a search, or nothing")
    chosen, asked = network_named(network), read_json(f"data/settings/{network}/search.json")
    seed, compared = asked.pop("seed"), asked.pop("hyperparameters")
    defaults = config_from(chosen.schema, read_json(f"data/settings/{network}/training.json"))
    frozen = read_starting_point(network).frozen
    if role == HELPER and (frozen or "tuned" not in compared):
        raise UserError(
            f"{network} has no search to help: its head is found in seconds, or no run of the study is tuned"
        )
    if "tuned" not in compared:
        write_hyperparameters(network, defaults, SearchResult({}, [], {}), seed, compared)
        return
    if frozen:
        from stages.tuning.head_search import search_head

        with TemporaryDirectory(dir="data") as folder:
            found = search_head(network, defaults, seed, Path(folder))
            write_hyperparameters(network, defaults, found, seed, compared)
        return
    from stages.tuning.run import help_search, remove_checkpoint, search_hyperparameters  # torch, which takes seconds

    search = Search(**asked)
    if role == HELPER:
        help_search(chosen, defaults, search, seed)
        return
    found = search_hyperparameters(chosen, defaults, search, seed)
    write_hyperparameters(network, defaults, found, seed, compared)
    remove_checkpoint(network)


if __name__ == "__main__":
    run_stage(main)
