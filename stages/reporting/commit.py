"""Which code a report was made by."""

import subprocess

CODE = ("stages", "dvc.yaml", "params.yaml", "requirements.lock")
NAMED = 3  # files


def commit() -> str:
    """Return Git's short name of the commit, and which code and settings have been edited since; "" outside of Git."""
    try:
        name = _git("rev-parse", "--short", "HEAD").strip()
        edited = [line[3:] for line in _git("status", "--porcelain", "--", *CODE).splitlines()]
    except (OSError, subprocess.CalledProcessError):
        return ""
    more = [f"{len(edited) - NAMED} more"] if len(edited) > NAMED else []
    return ", with edits of ".join([name, *([", ".join(edited[:NAMED] + more)] if edited else [])])


def _git(*words: str) -> str:
    # no shell; and whichever Git a person has
    return subprocess.run(("git", *words), capture_output=True, text=True, check=True).stdout  # noqa: S603, S607
