"""What a kill of DVC leaves: dvc.lock and its list of locked paths, neither of which it writes in one step."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import psutil

from stages.runtime.files import atomic_file, write_text

LOCK, BACKUP, CUT = Path("dvc.lock"), Path(".dvc/tmp/dvc.lock.bak"), Path(".dvc/tmp/dvc.lock.cut")
LOCKED_PATHS = Path(".dvc/tmp/rwlock")

WRITING_SECONDS = 1.0  # DVC writes dvc.lock in about a tenth of that


def keep_lock_file() -> None:
    """Copy dvc.lock beside DVC's own temporary files, where it is whole."""
    if is_whole():
        with atomic_file(BACKUP) as unfinished:
            shutil.copyfile(LOCK, unfinished)


def mend_lock_file() -> str:
    """Put the last copy, or else Git's, in the place of a cut dvc.lock; return what was done, in words, or nothing."""
    if not LOCK.exists() or is_whole():
        return ""
    time.sleep(WRITING_SECONDS)
    if not LOCK.exists() or is_whole():
        return ""  # another DVC was just writing it
    committed = _committed()
    CUT.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(LOCK, CUT)
    if BACKUP.exists():
        with atomic_file(LOCK) as unfinished:
            shutil.copyfile(BACKUP, unfinished)
        source = "the copy that the last stage made before it ran"
    elif committed:
        write_text(LOCK, committed)
        source = "the one that Git has"
    else:
        LOCK.unlink()
        source = "none: DVC's run cache has what was computed"
    return f"dvc.lock was cut off, as by a kill while DVC wrote it; in its place is {source} (it lies in {CUT})"


def mend_locked_paths() -> None:
    """Remove DVC's list of the paths that it works on where a kill has cut it, or where no DVC of it runs any more.

    DVC asks for that by hand otherwise, also where another program has got a killed DVC's number, as after a reboot.
    """
    numbers = _locked_by()
    if numbers is None:
        time.sleep(WRITING_SECONDS)
        numbers = _locked_by()
    if numbers is None or (numbers and not any(map(_is_dvc, numbers))):
        LOCKED_PATHS.unlink(missing_ok=True)


def forget_stages(are_left: Callable[[str], bool]) -> None:
    """Remove from dvc.lock the stages that are not left in the study; not while a DVC works here.

    DVC keeps them for ever, and reads and writes all of the file after each stage.
    """
    text = _text(LOCK)
    if not is_whole() or _is_in_conflict(text) or any(map(_is_dvc, _locked_by() or [])):
        return
    entries = re.split(r"^(?=  \S.*:$)", text, flags=re.MULTILINE)
    kept = [entry for entry in entries if not (found := recorded(entry)) or are_left(found[0])]
    if len(kept) < len(entries):
        BACKUP.parent.mkdir(parents=True, exist_ok=True)
        for file in (BACKUP, LOCK):  # the copy first: a lock file that begins as its copy does counts as cut
            write_text(file, "".join(kept))


def is_whole() -> bool:
    """Say whether dvc.lock ends where DVC ends it: a cut one may end with a line, even with a stage's last."""
    text = _text(LOCK)
    if _is_in_conflict(text):
        return True  # which DVC and Git say
    if not text.endswith("\n") or text.endswith(":\n"):
        return False
    stages, known = recorded(text), recorded(_text(BACKUP))
    return stages == known or stages != known[: len(stages)] or text == _committed()


def _is_in_conflict(text: str) -> bool:
    """Say whether two branches' versions are in a file, with Git's marks."""
    return text.startswith("<<<<<<< ") or "\n<<<<<<< " in text


def recorded(text: str) -> list[str]:
    """Return the stages of a lock file, in its order."""
    return re.findall(r"^  (\S.*):$", text, re.MULTILINE)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _committed() -> str:
    """Return the dvc.lock that Git has, or nothing."""
    show = ("git", "show", f"HEAD:./{LOCK}")
    shown = subprocess.run(show, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603 - no shell
    return "" if shown.returncode else shown.stdout


def _locked_by() -> list[int] | None:
    """Return the processes that the list of locked paths names; None where it is cut."""
    if not LOCKED_PATHS.exists():
        return []
    try:
        kinds = json.loads(_text(LOCKED_PATHS))
        held = [*kinds.get("write", {}).values(), *chain.from_iterable(kinds.get("read", {}).values())]
        return [int(each["pid"]) for each in held]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_dvc(number: int) -> bool:
    """Say whether a process runs and is DVC's, or may be, for all that its owner tells."""
    try:
        return any("dvc" in word for word in psutil.Process(number).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
