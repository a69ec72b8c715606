"""Git's revisions, and those of DVC's experiments, by the names that people give them."""

import subprocess


def git(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Git, whichever a person has; no shell."""
    return subprocess.run(("git", *words), capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603, S607


def resolved(revision: str) -> str | None:
    """Return a branch, tag or commit as it is, an experiment as DVC's reference to it, and None for any other name."""
    if not git("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}").returncode:
        return revision
    references = git("for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    return next((each for each in references if each.endswith(f"/{revision}")), None)
