"""Spread work on images over a Dask cluster, where STUDY_CLUSTER names its scheduler: tcp://scheduler:8786.

Results come in the order of the items, the same bytes whoever made them. Workers need this project's code and its
libraries, in the same versions, but none of its data: what an image's file holds is sent along.
"""

import os
import platform
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.runtime.errors import UserError
from stages.runtime.fingerprint import code_and_libraries
from stages.runtime.parallel import CHUNK, CHUNKS_PER_WORKER, Item, Result, parallel_map, with_progress_bar

ADDRESS_VARIABLE = "STUDY_CLUSTER"
SCHEDULER_TIMEOUT = "10s"  # for the scheduler's first answer
WORKER_TIMEOUT = (
    30  # seconds to wait for a worker: those of a job start beside the study, and others take the place of lost ones
)
ENCRYPTED = ("tls://", "wss://")
SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")
LIBRARIES = ("albumentations", "numpy", "opencv-python-headless", "pi-heif", "pillow", "scipy")  # that shape images


def no_file(item: object) -> None:
    """Say that nothing has to be read for an item."""


def cluster_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    description: str,
    total: int | None = None,
    reads: Callable[[Item], Path | None] = no_file,
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, as the cluster computes it; without one, as `parallel_map` does.

    `reads` names the file, below the working directory, that `function` reads for an item. Raises UserError where there
    is no cluster at that address, or one of other versions.
    """
    address = os.environ.get(ADDRESS_VARIABLE)
    if not address:
        return parallel_map(function, items, description, total)
    return with_progress_bar(_on_cluster(address, function, items, reads), items, description, total)


def _on_cluster(
    address: str,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    reads: Callable[[Item], Path | None],
) -> Iterator[Result]:
    with _client(address) as client:
        from distributed import KilledWorker

        remaining = iter(items)
        chunks = iter(lambda: list(islice(remaining, CHUNK)), [])

        def submitted() -> Any:
            for chunk in chunks:
                contents = [None if (file := reads(item)) is None else (file, file.read_bytes()) for item in chunk]
                yield client.submit(apply, function, chunk, contents, fingerprint(), pure=False)

        waiting = submitted()
        futures: deque[Any] = deque()
        try:
            while True:
                ahead = CHUNKS_PER_WORKER * _threads(client, address)
                futures.extend(islice(waiting, max(0, ahead - len(futures))))
                if not futures:
                    return
                yield from _result(futures.popleft(), client, address)
        except KilledWorker as error:
            raise UserError(f"workers of {address} died over the same images again and again: {error}") from None
        except (ImportError, AttributeError) as error:
            raise UserError(f"a worker of {address} has no code like this project's here: {error}") from None


def _threads(client: Any, address: str) -> int:
    """Return how many threads the workers there have now, at least one: without any, wait for the first."""
    threads: int = sum(client.nthreads().values())
    if not threads:
        print(f"waiting up to {WORKER_TIMEOUT} s for workers of {address}", file=sys.stderr)
        try:
            client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
        except TimeoutError:
            raise UserError(
                f"the scheduler at {address} has no workers; start `dask worker {address}` where they are"
            ) from None
        threads = sum(client.nthreads().values())
    return max(1, threads)


def _result(future: Any, client: Any, address: str) -> Any:
    """Return what a worker made of a chunk; as long as it takes, but not for ever after the last worker is gone."""
    while not future.done():
        try:
            return future.result(timeout=WORKER_TIMEOUT)
        except TimeoutError:
            _threads(client, address)
    return future.result()


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise UserError(f"{ADDRESS_VARIABLE} is set, but Dask is not installed; `make install` brings it") from None
    if not address.startswith(SCHEMES):
        raise UserError(f"{ADDRESS_VARIABLE} is {address}; give a Dask scheduler's address, e.g. tcp://scheduler:8786")
    host = urlsplit(address).hostname or ""
    is_private = address.startswith(ENCRYPTED) or host == "localhost" or host.startswith("127.") or host == "::1"
    if not is_private and os.environ.get("STUDY_TRUSTED_NETWORK") != "1":
        raise UserError(
            f"{ADDRESS_VARIABLE} is {address}: whoever reaches it runs code on it; give a tls:// address"
            " (docs/recipes/slurm.sh makes certificates), or set STUDY_TRUSTED_NETWORK=1 where only you do"
        )
    try:
        return Client(address, timeout=SCHEDULER_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]  # Dask has no types
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{ADDRESS_VARIABLE}: no Dask scheduler answers at {address}: {reason}") from None


def apply(
    function: Callable[[Item], Result],
    chunk: list[Item],
    contents: list[tuple[Path, bytes] | None],
    expected: dict[str, str],
) -> list[Result]:
    """Return function(item) for each item of a chunk, on a worker, with the files that these read.

    Raises UserError where the worker would give other bytes, for its code or libraries are others.
    """
    here = fingerprint()
    if differing := [
        f"{name}: {here.get(name)}, not {expected[name]}" for name in expected if here.get(name) != expected[name]
    ]:
        raise UserError(f"worker {platform.node()} would give other images; it has", *differing)
    results = []
    for item, content in zip(chunk, contents, strict=True):
        if content is not None:
            file, data = _folder() / content[0], content[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        results.append(function(item))
        if content is not None:
            file.unlink()
    return results


@cache
def _folder() -> Path:
    """Return a folder of this worker's own, and work in it from now on."""
    folder = Path(tempfile.mkdtemp(prefix="images-"))
    os.chdir(folder)
    return folder


@cache
def fingerprint() -> dict[str, str]:
    """Return what decides about the bytes of an image: the versions of Python and libraries, a digest of the code."""
    return code_and_libraries(LIBRARIES)
