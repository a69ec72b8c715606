"""What stages print, kept beside DVC's own temporary files; and from it how long stages took the last time."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

LOG = Path(".dvc/tmp/study.log")
LARGEST = 10_000_000  # bytes, after which the log begins anew; the one before is kept once
TOOK = re.compile(r"(\S+): (\d+) s")  # how a stage ends, in a line of its own


@contextmanager
def logged(stage: str) -> Iterator[None]:
    """Copy to the log, beneath a heading, what the block prints; progress bars are passed over.

    Where the log cannot be written, as in a checkout that can only be read, there is none.
    """
    try:
        log = _opened()
    except OSError:
        yield
        return
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = copies = [_Copied(stream, log) for stream in streams]
    copies[0].log_alone(f"\n{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z} {stage}\n")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        with suppress(OSError):
            log.close()


def _opened() -> TextIO:
    LOG.parent.mkdir(parents=True, exist_ok=True)
    if LOG.exists() and LOG.stat().st_size > LARGEST:
        LOG.replace(LOG.with_suffix(".log.old"))
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC  # a link's target is nobody's log
    return os.fdopen(os.open(LOG, flags, 0o666), "w", buffering=1, encoding="utf-8", errors="backslashreplace")


class _Copied:
    """A stream of text whose lines go to the log as well."""

    def __init__(self, stream: Any, log: Any) -> None:
        self.stream, self.log, self.is_in_bar = stream, log, False

    def write(self, text: str) -> int:
        """Write to both; where the log cannot be written, to the stream alone."""
        if "\r" not in text and not (self.is_in_bar and text == "\n"):
            self.log_alone(text)
        self.is_in_bar = "\r" in text
        written: int = self.stream.write(text)
        return written

    def log_alone(self, text: str) -> None:
        """Write to the log."""
        with suppress(
            OSError, ValueError
        ):  # ValueError: closed, where who prints at a process's end has kept this stream
            self.log.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def seconds_of_stages() -> dict[str, int]:
    """Return how long each stage took when it last ran to its end here; {} where none did."""
    try:
        lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {match[1]: int(match[2]) for match in map(TOOK.fullmatch, lines) if match}
