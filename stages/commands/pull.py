"""`make pull`: bring a study's results from its remote, after a look at what these would write.

DVC checks the bytes of a remote's files (verify: true), but not its lists of a folder's files, nor what the run cache
says of outputs: an entry `../../stages/run` would replace that file. Here every list must have the digest that its name
says, and no path may leave its folder.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from stages.commands.dvc import dvc_command, dvc_output
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_file
from stages.runtime.yaml_files import read_yaml

DIGEST = re.compile(r"[0-9a-f]{32}")
OUTPUT_KEYS = {"path", "hash", "md5", "size", "nfiles", "isexec"}
OUTPUTS = ("data", "metrics")  # the folders that stages write to


def main(run_cache: str = "") -> None:
    """Fetch what dvc.lock names (with the word run-cache, what stages have ever computed too), check it, place it."""
    if run_cache not in ("", "run-cache"):
        raise UserError(f"{run_cache!r} is nothing to pull; say run-cache, or nothing")
    cache = fetch_lists(bool(run_cache))
    faults = [*run_cache_faults(cache), *folder_list_faults(cache)]
    is_fetched = True
    if not faults:
        is_fetched = _dvc("fetch", *(["--run-cache"] if run_cache else []))
        faults = [*run_cache_faults(cache), *folder_list_faults(cache)]
    if faults:
        raise UserError(*faults, "somebody has altered the remote; nothing was put in place. Remove these files first")
    if lacking := missing_outputs():
        raise UserError(
            f"the remote did not send {', '.join(lacking)}; nothing was put in place",
            f"asked was {' '.join(dvc_output('remote', 'list').split())}, as .dvc/config says here: is that where"
            " results were pushed to? Who has changed it must commit .dvc/config",
            "if it has them not, who pushed has pushed before `make` had ended: there, say `make`, `git add -A && git"
            " commit`, `dvc push && git push`; then pull again",
        )
    if not (is_fetched and _dvc("checkout")):
        sys.exit(1)


def fetch_lists(with_run_cache: bool) -> Path:
    """Bring the lists of folders alone into DVC's cache, to be looked at before DVC follows them; return the cache."""
    from dvc.exceptions import DvcException  # type: ignore[import-untyped]  # and takes a second to import
    from dvc.repo import Repo  # type: ignore[import-untyped]

    with Repo() as repo:
        try:
            digests = {out.hash_info.value for out in repo.index.outs if out.use_cache and out.hash_info}
            if with_run_cache:
                repo.stage_cache.pull(None)
                runs = _runs(Path(repo.cache.legacy.path))
                digests |= {out.get("md5") for _, entry in runs for out in _outs(entry) if isinstance(out, dict)}
            remote, cache = repo.cloud.get_remote_odb(), repo.cache.local
        except DvcException as error:
            raise UserError(str(error)) from None
        for digest in sorted(each for each in digests if isinstance(each, str) and each.endswith(".dir")):
            if not DIGEST.fullmatch(digest.removesuffix(".dir")):
                raise UserError(f"{digest!r} is no digest of a folder's list")
            target, source = Path(cache.oid_to_path(digest)), remote.oid_to_path(digest)
            if not target.exists() and remote.fs.exists(source):  # what is missing DVC says by itself
                with atomic_file(target) as unfinished:
                    unfinished.write_bytes(remote.fs.cat_file(source))
        return Path(repo.cache.legacy.path)


def missing_outputs() -> list[str]:
    """Return the outputs that dvc.lock names and DVC's cache lacks, in whole or in part."""
    from dvc.repo import Repo

    with Repo() as repo:
        outs = (out for out in repo.index.outs if out.use_cache and out.hash_info)
        return [str(out.def_path) for out in outs if out.changed_cache()]


def folder_list_faults(cache: Path) -> Iterator[str]:
    """Yield a line for each list of a folder in the cache that is not what its name says, or would write elsewhere."""
    for path in sorted((cache / "files/md5").glob("*/*.dir")):
        content = path.read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != f"{path.parent.name}{path.stem}":
            yield f"{path}: its content is not what its name says"
            continue
        try:
            entries = [(str(entry["relpath"]), str(entry["md5"])) for entry in json.loads(content)]
        except (ValueError, TypeError, KeyError, RecursionError):
            yield f"{path}: no list of files"
            continue
        names = [name for name, _ in entries]
        yield from (f"{path}: {name!r} would be written elsewhere" for name in names if not is_below(name))
        yield from (f"{path}: {digest!r} is no digest" for _, digest in entries if not DIGEST.fullmatch(digest))
        if len(set(names)) < len(names):
            yield f"{path}: it names a file twice"


def run_cache_faults(cache: Path) -> Iterator[str]:
    """Yield a line for each entry of the run cache whose outputs are no files of this project's stages."""
    for path, entry in _runs(cache):
        for out in _outs(entry):
            known = out if isinstance(out, dict) else {}
            name, digest = str(known.get("path")), str(known.get("md5"))
            if not (is_below(name) and PurePosixPath(name).parts[0] in OUTPUTS):
                yield f"{path}: {name!r} is no output of a stage"
            elif not DIGEST.fullmatch(digest.removesuffix(".dir")) or known.get("hash") != "md5":
                yield f"{path}: {digest!r} is no digest"
            elif others := sorted(map(str, set(known) - OUTPUT_KEYS)):  # DVC would take files: for a list
                yield f"{path}: {name} has {', '.join(others)}"


def is_below(name: str) -> bool:
    """Say whether a path stays in the folder that it is relative to, on every system."""
    parts = re.split(r"[/\\]", name)
    return not {"", ".", ".."} & set(parts) and ":" not in parts[0] and "\0" not in name


def _runs(cache: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(cache.glob("runs/*/*/*")):
        yield path, read_yaml(path)


def _outs(entry: Any) -> list[Any]:
    outs = entry.get("outs", []) if isinstance(entry, dict) else [entry]
    return outs if isinstance(outs, list) else [outs]


def _dvc(*words: str) -> bool:
    return not subprocess.run(dvc_command(*words), check=False).returncode  # noqa: S603 - no shell


if __name__ == "__main__":
    run_stage(main)
