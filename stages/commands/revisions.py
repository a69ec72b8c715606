"""Git's revisions, and those of DVC's experiments, by the names that people give them."""

import re
import subprocess

EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]+/(.+)")  # of a commit's digest; others are of DVC's queue


def git(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Git, whichever a person has; no shell."""
    return subprocess.run(("git", *words), capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603, S607


def resolved(revision: str) -> str | None:
    """Return a branch, tag or commit as it is, an experiment as DVC's reference to it, and None for any other name."""
    if not git("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}").returncode:
        return revision
    return experiments().get(revision)


def experiments() -> dict[str, str]:
    """Return DVC's reference to each experiment by its name, in the order in which they were made."""
    references = git("for-each-ref", "--sort=creatordate", "--format=%(refname)", "refs/exps").stdout.split()
    found = ((EXPERIMENT.fullmatch(reference), reference) for reference in references)
    return {match[1]: reference for match, reference in found if match}
