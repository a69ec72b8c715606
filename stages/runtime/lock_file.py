"""A copy of dvc.lock, which DVC does not write in one step: a kill in that moment leaves it empty or cut."""

import shutil
import subprocess
import time
from pathlib import Path

from stages.runtime.files import atomic_file, write_text

LOCK, BACKUP, CUT = Path("dvc.lock"), Path(".dvc/tmp/dvc.lock.bak"), Path(".dvc/tmp/dvc.lock.cut")

WRITING_SECONDS = 1.0  # DVC writes it in about a tenth of that


def keep_lock_file() -> None:
    """Copy dvc.lock beside DVC's own temporary files, where it is whole."""
    if _is_whole(LOCK):
        with atomic_file(BACKUP) as unfinished:
            shutil.copyfile(LOCK, unfinished)


def mend_lock_file() -> str:
    """Put the last copy, or else Git's, in the place of a cut dvc.lock; return what was done, in words, or nothing."""
    if not LOCK.exists() or _is_whole(LOCK):
        return ""
    time.sleep(WRITING_SECONDS)
    if not LOCK.exists() or _is_whole(LOCK):
        return ""  # another DVC was just writing it
    show = ("git", "show", f"HEAD:./{LOCK}")
    committed = subprocess.run(show, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    CUT.parent.mkdir(parents=True, exist_ok=True)
    LOCK.replace(CUT)
    if _is_whole(BACKUP):
        shutil.copyfile(BACKUP, LOCK)
        source = "the copy that the last stage made before it ran"
    elif not committed.returncode:
        write_text(LOCK, committed.stdout)
        source = "the one that Git has"
    else:
        source = "none: DVC's run cache has what was computed"
    return f"dvc.lock was cut off, as by a kill while DVC wrote it; in its place is {source} (it lies in {CUT})"


def _is_whole(path: Path) -> bool:
    return path.is_file() and path.read_bytes().endswith(b"\n")
