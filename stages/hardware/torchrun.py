"""Training in several processes on one machine or many, started as torchrun's own environment says.

PET_NPROC_PER_NODE and PET_NNODES are what torchrun reads; dvc.yaml and params.yaml know nothing of them, for where a
study runs must not change what it records. The other ones of several machines run torchrun by hand:
docs/guides/long-trainings-and-scale.md.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import torch
import torch.distributed as dist

from stages.hardware import distributed
from stages.runtime.cores import ONE, available_cores, wants_several
from stages.runtime.errors import UserError
from stages.runtime.files import read_json, write_json
from stages.runtime.parent import end_with_parent

ERROR_FILE = "STUDY_ERROR_FILE"  # of the environment: where a machine's first process writes why it cannot train
TRUSTED = "STUDY_TRUSTED_NETWORK"  # of the environment: 1 where only the study's machines reach each other
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)  # torchrun leaves handlers of its own
DEFAULTS = {
    "PET_MAX_RESTARTS": "3",  # of all processes, after one has died; they go on from the last epoch
    "PET_RDZV_BACKEND": "c10d",
    # else those that are started anew find the addresses of those that died
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}
Main = Callable[..., None]


def with_torchrun(main: Main) -> Main:
    """Return a stage's `main` as all the processes run it that torchrun's environment asks for.

    Raises UserError where they cannot end what they began.
    """

    @wraps(main)
    def run(*words: str) -> None:
        if "TORCHELASTIC_RUN_ID" in os.environ:
            with _process_group():
                main(*words)
        elif wants_several():
            run_agent(sys.modules["__main__"].__spec__.name, *words)  # type: ignore[union-attr]  # -m stages.train
        else:
            main(*words)

    return run


def run_agent(module: str, *words: str) -> None:
    """Run torchrun's agent: it starts this machine's processes of a module, and starts them anew where one has died."""
    from torch.distributed import run  # takes half a second to import
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    options = rendezvous(module, *words)
    os.environ.pop("DVC_STAGE", None)  # this process guards the stage; those below it would wait for it
    local_count = run.determine_local_world_size(os.environ.get("PET_NPROC_PER_NODE", "1"))
    for name, value in (DEFAULTS | {"OMP_NUM_THREADS": str(max(1, available_cores() // local_count))}).items():
        os.environ.setdefault(name, value)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    with tempfile.TemporaryDirectory() as folder:
        error_file = Path(folder) / "error.json"
        os.environ[ERROR_FILE] = str(error_file)
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
        if error_file.exists():
            raise UserError(*read_json(error_file))


def rendezvous(module: str, *words: str) -> list[str]:
    """Return torchrun's options for where processes meet: of several machines under the stage's name in DVC.

    Raises UserError where machines would meet on a network that nobody has called safe.
    """
    if os.environ.get("PET_NNODES", "") in ONE:
        return ["--standalone"]
    if not os.environ.get("PET_RDZV_ENDPOINT"):
        raise UserError("say where the machines meet: PET_RDZV_ENDPOINT=host:29400, on each of them")
    if os.environ.get(TRUSTED) != "1":
        raise UserError(
            "torch listens on all networks of this machine (0.0.0.0), and runs what it is sent there; where a firewall"
            f" or the job's own network lets only the study's machines in, set {TRUSTED}=1"
        )
    return [f"--rdzv-id={module.rpartition('.')[2]}@{'-'.join(words)}"]


@contextmanager
def _process_group() -> Iterator[None]:
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
        if distributed.is_local_rank_zero():  # each machine's agent looks for it
            write_json(os.environ[ERROR_FILE], problem.lines)
    finally:
        dist.destroy_process_group()
