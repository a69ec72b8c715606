"""Stage tune: search a network's hyperparameters on the validation images."""

from pydantic import NonNegativeInt

from stages.networks.common.contract import network_named
from stages.networks.common.settings import OnlineAugmentation, Search, TrainingSettings, TrainingConfig
from stages.runtime.command import run_stage
from stages.runtime.config import read, read_overridden
from stages.runtime.errors import UserError
from stages.tuning.results import Found, write_hyperparameters

HELPER = "only-trials"  # of a process beside the one that DVC has started, which alone writes what is found


def main(network: str, role: str = "") -> None:
    """Search a network's hyperparameters on the validation images, and keep what the search has trained.

    Where no run of the study is tuned, nothing is searched.
    """
    if role not in ("", HELPER):
        raise UserError(f"{role} is no way to tune; say {HELPER} to help a search, or nothing")
    chosen, seed = network_named(network), read("seed", NonNegativeInt)
    search = read_overridden("search", Search, f"networks.{network}.search", Search)
    settings = read_overridden("training", TrainingSettings, f"networks.{network}", chosen.schema, besides=["search"])
    defaults = TrainingConfig(settings, read("online_augmentation", OnlineAugmentation))
    if "tuned" not in read("study.hyperparameters", list[str]):
        write_hyperparameters(network, defaults, Found({}, [], {}), seed)
        return
    from stages.tuning.run import help_search, remove_checkpoint, search_hyperparameters  # torch, which takes seconds

    if role == HELPER:
        help_search(chosen, defaults, search, seed)
        return
    found = search_hyperparameters(chosen, defaults, search, seed)
    write_hyperparameters(network, defaults, found, seed)
    remove_checkpoint(network)


if __name__ == "__main__":
    run_stage(main)
