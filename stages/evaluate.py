"""Stage evaluate: score a trained run on photographs it has never seen."""

import shutil
from pathlib import Path

from stages.runtime.command import run_stage
from stages.runtime.files import atomic_folder, read_json, write_json
from stages.runtime.runs import Run
from stages.training.done_before import done_before, note_done
from stages.training.fingerprint import code_of, key_of


def main(network: str, hyperparameters: str, data: str, seed: str) -> None:
    """Score a trained run on photographs it has never seen, and keep what it says of each."""
    run = Run(network, hyperparameters, data, int(seed))
    same = done_before(lambda: key_of_run(run))
    if not (same and taken_from(same, run)):
        from stages.evaluation.run import evaluate  # imports torch, which takes longer than to copy what is there

        evaluate(run)
        note_done(key_of_run(run), str(run))
    write_json(f"metrics/costs/{run}.json", read_json(f"data/trained/{run}/timing.json"))


def key_of_run(run: Run) -> str:
    """Return the key of all that shapes an evaluation but the hardware: equal runs have the same."""
    folders = [f"data/trained/{run}", "data/validation", "data/test"]
    return key_of(
        "evaluate",
        folders,
        [Path(__file__), *code_of(run.network, "runtime", "hardware", "images", "statistics", "evaluation")],
    )


def taken_from(same: str, run: Run) -> bool:
    """Copy what the evaluation of an equal run has written; say whether it is there."""
    predictions, record = Path(f"data/predictions/{same}"), Path(f"metrics/runs/{same}.json")
    if not (predictions.is_dir() and record.is_file()):
        return False
    with atomic_folder(f"data/predictions/{run}") as folder:
        shutil.copytree(predictions, folder, dirs_exist_ok=True)
    write_json(f"metrics/runs/{run}.json", read_json(record))
    return True


if __name__ == "__main__":
    run_stage(main)
