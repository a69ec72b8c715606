"""What every stage's `python -m stages.<stage>` does around its `main`."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from io import TextIOWrapper

from stages.runtime.errors import UserError
from stages.runtime.fast_exit import leave
from stages.runtime.guard import guard_stage
from stages.runtime.progress import told

INTERRUPTED, TERMINATED = 130, 143  # as shells report them: 128 + the signal's number
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def run_stage(main: Callable[..., None]) -> None:
    """Call `main` with the command line's words; show a UserError as plain lines and exit with 1.

    Where DVC runs the stage, its inputs are guarded. SIGTERM unwinds as Ctrl-C does, so that half files are removed.
    Where Python was asked to run the module, its process ends here.
    """
    asked, main = main, _importable(main)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # who watches through a pipe sees each line at once
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    stage = os.environ.get("DVC_STAGE")
    try:
        with told(stage) if stage else nullcontext(), guard_stage(stage) if stage else nullcontext():
            main(*sys.argv[1:])
    except UserError as problem:
        _fail(*problem.lines)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _fail(
            f"the disk is full: {error.filename or 'a file'} could not be written; make room and run `dvc repro` again"
        )
    except KeyboardInterrupt:
        print(
            "interrupted; `dvc repro` goes on: tuning after its last finished trial, training after its last epoch",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    if main is not asked:
        leave()


def _importable(main: Callable[..., None]) -> Callable[..., None]:
    """Return `main` as other processes import it: Python calls the module it was asked to run __main__."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if main.__module__ != "__main__" or spec is None:
        return main
    imported: Callable[..., None] = getattr(import_module(spec.name), main.__name__)
    return imported


def _fail(*lines: str) -> None:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1)
