"""What the running `dvc repro` has made already, under another name: it is taken again before torch is even imported.

Two runs of a study may be the same work, as those of the defaults and of a search that kept them are. Within one run
of DVC the hardware stays what it is: nobody has to ask torch for it, which takes longer than to place what is there.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.runtime.cores import wants_several
from stages.runtime.files import read_json, write_json
from stages.runtime.parent import parents

FILE = Path(".dvc/tmp/done.json")


def done_before(key: Callable[[], str]) -> str | None:
    """Return where the work of a key lies, as `note_done` was told by a stage of the same `dvc repro`; else None.

    The key, for which all data is read, is asked for only where something is noted.
    """
    runner = _runner()
    noted = _read(runner) if runner else {}
    return noted.get(key()) if noted else None


def note_done(key: str, where: str | Path) -> None:
    """Note where the work of a key lies. Outside of DVC nothing is noted."""
    runner = _runner()
    if runner:
        write_json(FILE, {"runner": runner, "done": _read(runner) | {key: str(where)}})


def _runner() -> list[float]:
    """Return process id and start of the `dvc` that runs this stage; nothing where none does.

    Nor where a notebook has DVC run it, whose environment may change from one call to the next; nor where several
    processes train a network, for a search is of one.
    """
    above = parents() if os.environ.get("DVC_STAGE") and not wants_several() else []
    is_dvc = bool(above) and any(Path(word).name == "dvc" for word in above[-1].cmdline())
    return [above[-1].pid, above[-1].create_time()] if is_dvc else []


def _read(runner: list[float]) -> dict[str, Any]:
    try:
        noted = read_json(FILE)
        return dict(noted["done"]) if noted["runner"] == runner else {}
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or no whole one
        return {}
