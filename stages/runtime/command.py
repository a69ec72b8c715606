"""What every `python -m stages.<stage>`, and every other command, does around its `main`."""

import errno
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from io import TextIOWrapper

from stages.runtime.errors import UserError
from stages.runtime.fast_exit import leave
from stages.runtime.guard import guard_stage
from stages.runtime.runs import check_words, parse_address
from stages.runtime.study_log import logged

INTERRUPTED, TERMINATED = 130, 143  # as shells report them: 128 + the signal's number
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
REMEDIES = {
    errno.EACCES: "it, or its folder, may not be written, or belongs to another user; see ls -l",
    errno.EPERM: "it, or its folder, may not be written, or belongs to another user; see ls -l",
    errno.EROFS: "it lies on what can only be read; work in a copy elsewhere",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ENOENT: "`dvc repro` makes what is missing, `dvc checkout` brings it back",
    errno.ELOOP: "a link lies there, which is not followed; remove it",
    errno.EMFILE: "raise the number of open files: `ulimit -n 4096`",
}


def run_stage(main: Callable[..., None]) -> None:
    """Call `main` with the command line's words, or those of DVC's name of the stage; show errors in plain lines.

    Where DVC runs the stage, its inputs are guarded, and its seconds are told. SIGTERM unwinds as Ctrl-C does, so that
    half files are removed. Where Python was asked to run the module, its process ends here. A UserError or OSError
    ends it with 1.
    """
    called, main = main, _importable(main)
    if isinstance(sys.stdout, TextIOWrapper):
        # who watches through a pipe sees each line at once; a terminal that lacks a letter ends no stage
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    address = os.environ.get("DVC_STAGE", "")
    stage = address.rpartition("dvc.yaml:")[2]
    with logged(stage) if stage else nullcontext():
        _run(main, address, stage)
    if main is not called:
        leave()


def _run(main: Callable[..., None], address: str, stage: str) -> None:
    """Call `main` with its words, guarded where it is a stage's; end the process with words where it fails."""
    start = time.monotonic()
    try:
        words = _arguments(main, sys.argv[1:] or parse_address(address)[1])
        with guard_stage(address) if address else nullcontext():
            main(*words)
        if stage:
            print(f"{stage}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    except UserError as problem:
        _fail(*problem.lines)
    except OSError as error:
        _fail(in_words(error))
    except KeyboardInterrupt:
        print(
            "interrupted; `make` (or `dvc repro`) goes on: tuning after its last finished trial, training after its"
            " last epoch, any other stage from its beginning",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)


def _arguments(main: Callable[..., None], words: list[str]) -> list[str]:
    """Return the words that `main` is to be called with. Raises UserError where it takes others."""
    signature = inspect.signature(main)
    try:
        bound = signature.bind(*words)
    except TypeError:
        named = " ".join(name.upper() for name in signature.parameters) or "no words"
        raise UserError(f"expected {named}, not {' '.join(words) or 'nothing'}") from None
    check_words(bound.arguments)
    return words


def _importable(main: Callable[..., None]) -> Callable[..., None]:
    """Return `main` as other processes import it: Python calls the module it was asked to run __main__."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if main.__module__ != "__main__" or spec is None:
        return main
    imported: Callable[..., None] = getattr(import_module(spec.name), main.__name__)
    return imported


def in_words(error: OSError) -> str:
    """Return one line for what the system has refused."""
    file = error.filename or "a file"
    if error.errno is None:
        return str(error) or type(error).__name__
    if error.errno in DISK_FULL:
        return f"the disk is full: {file} could not be written; make room and run it again"
    if error.errno == errno.ENOENT and error.filename is None:  # of Python's tempfile
        return f"{error.strerror}; set TMPDIR to a folder that may be written"
    remedy = REMEDIES.get(error.errno)
    return f"{file}: {error.strerror}" + (f"; {remedy}" if remedy else "")


def _fail(*lines: str) -> None:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1)
