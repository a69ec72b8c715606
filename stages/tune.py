"""Stage tune: search a network's hyperparameters on the validation images."""

from optuna.trial import FrozenTrial
from pydantic import NonNegativeInt

from stages.hardware import device
from stages.networks.common.contract import network_named
from stages.networks.common.image_set import load_images
from stages.networks.common.pretrained import expected_input
from stages.networks.common.settings import OnlineAugmentation, Search, Training, TrainingConfig
from stages.runtime.command import run_stage
from stages.runtime.config import read_merged_section, read_section
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, write_json
from stages.training.checkpoint import Checkpoint, imported_code, on_this_hardware
from stages.training.fingerprint import key_of
from stages.tuning.results import write_importances, write_plots, write_trials
from stages.tuning.selection import chosen_values
from stages.tuning.storage import database, journal
from stages.tuning.trials import Trials, searched

HELPER = "only-trials"  # of the process that DVC has started, which alone writes what is found


def main(network: str, role: str = "") -> None:
    """Search a network's hyperparameters on the validation images."""
    if role not in ("", HELPER):
        raise UserError(f"{role} is no way to tune; say {HELPER} to help a search, or nothing")
    chosen, seed = network_named(network), read_section("seed", NonNegativeInt)
    search = read_merged_section("search", Search, f"networks.{network}.search", Search)
    settings = read_merged_section("training", Training, f"networks.{network}", chosen.schema, besides=["search"])
    defaults = TrainingConfig(settings, read_section("online_augmentation", OnlineAugmentation))
    if "tuned" not in read_section("study.hyperparameters", list[str]):
        write_results(network, defaults, {}, [])  # nobody asks what a search would find
        return
    device.be_deterministic()
    device.keep_freed_memory()
    expected = expected_input(chosen, settings)
    training = load_images("data/original", device.device(), *expected)
    validation = load_images("data/validation", device.device(), *expected)
    trials = Trials(chosen, defaults, search, training, validation, seed)

    shared, folders = database(), ["data/original", "data/validation", f"data/pretrained/{network}"]
    everything = [defaults.values(), search.model_dump(), seed]
    key = key_of(everything, folders, imported_code())
    checkpoint = Checkpoint(f"tune-{network}", key if shared else on_this_hardware(key))
    try:
        finished = searched(trials, shared or journal(checkpoint.journal), checkpoint.journal.stem)
    except FileNotFoundError:
        if role != HELPER:
            raise
        finished = []  # the process that was helped has ended the search, and removed its journal
    if role == HELPER:
        return
    write_results(network, defaults, chosen_values(trials, finished), finished)
    checkpoint.remove()


def write_results(network: str, defaults: TrainingConfig, better: dict[str, object], trials: list[FrozenTrial]) -> None:
    """Write the settings of default and tuned runs, and what the search has tried."""
    with atomic_folder(f"data/hyperparameters/{network}") as folder:
        write_json(folder / "default.json", defaults.values())
        write_json(folder / "tuned.json", defaults.values() | better)
        write_trials(folder / "trials.csv", trials, defaults.values())
        write_importances(folder / "importances.csv", trials)
        write_plots(folder / "search.png", trials)


if __name__ == "__main__":
    run_stage(main)
