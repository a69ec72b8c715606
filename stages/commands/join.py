"""`make join`: have this machine take part in the trainings of another, which shares the folder.

It waits for each, and runs torchrun's agent as that one does; PET_NNODES and where they meet (PET_RDZV_ENDPOINT) are
the same on both.
"""

import os
import time
from pathlib import Path
from typing import Any

from stages.hardware.torchrun import CALL, run_agent
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import read_json

LOOK_EVERY = 0.5  # seconds


def main() -> None:
    """Take part in every training that is called out in this folder, until Ctrl-C."""
    if not os.environ.get("PET_RDZV_ENDPOINT") or not os.environ.get("PET_NNODES"):
        raise UserError("say how many machines train and where they meet: PET_NNODES=2 PET_RDZV_ENDPOINT=host:29400")
    print(f"waiting for trainings in {Path.cwd()}; Ctrl-C ends it")
    done: set[str] = set()
    while True:
        call = _call()
        if call is None or call["id"] in done:
            time.sleep(LOOK_EVERY)
            continue
        done.add(call["id"])
        print("joins", call["module"], *call["words"])
        try:
            run_agent([f"--rdzv-id={call['id']}"], call["module"], *call["words"])
        except UserError as problem:  # the machine that called says so as well, and may call again
            print(*problem.lines, sep="\n")


def _call() -> Any:
    try:
        return read_json(CALL)
    except (FileNotFoundError, ValueError):
        return None


if __name__ == "__main__":
    run_stage(main)
