"""Ask DVC, in the Python that this process runs in."""

import subprocess
import sys

from stages.runtime.errors import UserError


def dvc_command(*words: str) -> list[str]:
    """Return the command line of DVC with these words."""
    return [sys.executable, "-m", "dvc", *words]


def dvc_output(*words: str) -> str:
    """Return what DVC prints. Raises UserError with DVC's own words where it fails."""
    done = subprocess.run(dvc_command(*words), capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise UserError(*(done.stderr.strip().removeprefix("ERROR: ").splitlines() or [f"dvc {words[0]} failed"]))
    return done.stdout
