"""Training in several processes on one machine or many, started as torchrun's own environment says.

PET_NPROC_PER_NODE and PET_NNODES are what torchrun reads; dvc.yaml and params.yaml know nothing of them, for where a
study runs must not change what it records.
"""

import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from stages.hardware import distributed
from stages.runtime.cores import OF_ONE, available_cores, wants_several
from stages.runtime.errors import UserError
from stages.runtime.files import read_json, write_json
from stages.runtime.guard import end_with_parent

CALL = Path(".dvc/tmp/together.json")  # what the other machines are to run as well; the folder is shared with them
PROBLEM = "STUDY_PROBLEM"  # of the environment: the file in which a machine's first process says what stands in its way
RESTARTS = "3"  # of all processes, after one has died; they go on from the last epoch
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)  # by torchrun, which leaves it so
Main = Callable[..., None]


def together(main: Main) -> Main:
    """Return a stage's `main` as all the processes run it that torchrun's environment asks for.

    Raises UserError where they cannot end what they began.
    """

    @wraps(main)
    def run(*words: str) -> None:
        if "TORCHELASTIC_RUN_ID" in os.environ:
            with _joined():
                main(*words)
        elif wants_several():
            launch(_module(), *words)
        else:
            main(*words)

    return run


def launch(module: str, *words: str) -> None:
    """Run a module in all processes of this machine, and have the other machines join, until it ends."""
    identity = uuid.uuid4().hex
    if os.environ.get("PET_NNODES", "") in OF_ONE:
        run_agent(["--standalone"], module, *words)
        return
    write_json(CALL, {"id": identity, "module": module, "words": words})
    try:
        run_agent([f"--rdzv-id={identity}"], module, *words)
    finally:
        CALL.unlink(missing_ok=True)


def run_agent(options: list[str], module: str, *words: str) -> None:
    """Run torchrun's agent: it starts this machine's processes, and starts them anew where one has died."""
    from torch.distributed import run  # takes half a second to import
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.pop("DVC_STAGE", None)  # this process guards the stage; those below it would wait for it
    os.environ.setdefault("PET_MAX_RESTARTS", RESTARTS)
    os.environ.setdefault("PET_RDZV_BACKEND", "c10d")
    # else those that are started anew find the addresses of those that died
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    here = run.determine_local_world_size(os.environ.get("PET_NPROC_PER_NODE", "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // here)))
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "problem.json"
        os.environ[PROBLEM] = str(said)
        handlers = {number: signal.getsignal(number) for number in HANDLED}
        try:
            run.run(run.parse_args([*options, "--module", module, *words]))  # type: ignore[no-untyped-call]
        except SignalException as stopped:
            raise KeyboardInterrupt if stopped.sigval == signal.SIGINT else SystemExit(128 + stopped.sigval) from None
        except ChildFailedError as failed:
            rank, failure = failed.get_first_failure()
            raise UserError(
                f"process {rank} of this training ended with exit code {failure.exitcode}, after all restarts"
                f" (PET_MAX_RESTARTS={os.environ['PET_MAX_RESTARTS']}); what it said stands above"
            ) from None
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if said.exists():
            raise UserError(*read_json(said))


@contextmanager
def _joined() -> Iterator[None]:
    """Make this process one of those that train together while the block runs."""
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # who waits for the others would not come to Python's own handler
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is not None:
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group()
    if not distributed.is_local_rank_zero():
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until this process ends
    try:
        yield
    except UserError as problem:  # no accident, so that to start anew would not help
        if (
            distributed.is_local_rank_zero()
        ):  # each machine's agent looks for it, wherever the first of all processes is
            write_json(os.environ[PROBLEM], problem.lines)
    finally:
        dist.destroy_process_group()


def _module() -> str:
    """Return the name of the module that Python was asked to run, e.g. stages.train."""
    main: Any = sys.modules["__main__"]
    return str(main.__spec__.name)
