"""Download files: resumed after a cut, checked before use, and kept, so that none comes twice.

On requests: pooch keeps and checks files as well, but starts again after every cut.
"""

import contextlib
import hashlib
import re
import time
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

import requests
from pydantic import AfterValidator
from tqdm import tqdm
from urllib3 import Retry
from urllib3.exceptions import HTTPError, ReadTimeoutError

from stages.datasets.common.archives import DEFAULT_LIMITS, Limits
from stages.runtime.errors import UserError
from stages.runtime.files import UNFINISHED, read_json, write_json
from stages.runtime.names import has_control_characters

DOWNLOADS = Path("data/downloads")  # no stage's output, so that DVC never deletes it
ORIGIN = ".origin"  # suffix of the note that says which URL and version of the file a download is
CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte
MAX_TRIES = 5  # in a row that bring nothing new
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between tries: doubled each time
SLOWEST, PATIENCE = 1000, 300.0  # bytes a second, and for how many seconds fewer are put up with
CHUNK = 1 << 16  # bytes read at a time, at most
RETRIED_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # of HTTP, which pass with time
REASONS: dict[type[Exception], str] = {  # the first that fits
    requests.exceptions.SSLError: "its certificate cannot be trusted",
    requests.exceptions.TooManyRedirects: "its redirects lead round in a circle",
    requests.exceptions.InvalidSchema: "it leads to an address that is not of the web",
    requests.exceptions.ProxyError: "the proxy does not answer; check http_proxy and https_proxy",
    requests.exceptions.ConnectTimeout: "no connection in time",
    requests.exceptions.Timeout: "the server stopped sending",
    requests.exceptions.ConnectionError: "no connection",
    ReadTimeoutError: "the server stopped sending",
    HTTPError: "the connection was cut",
}
PERMANENT = tuple(REASONS)[:3]
PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<body")


def check_url(url: str) -> str:
    """Return `url`; raise ValueError where no file can lie behind it, and UserError where a password is in it."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        # no ValueError, whose line would show the URL
        raise UserError(
            "params.yaml: a URL of section dataset holds a user name or password, which would reach dvc.lock and"
            f" whoever it is shared with; write `machine {parts.hostname} login ... password ...` into ~/.netrc"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must start with http:// or https:// and a host")
    if (name := file_name(url)).startswith(".") or has_control_characters(name):
        raise ValueError("must end in the name of a file")
    return url


def _checksum(text: str) -> str:
    if not re.fullmatch("none|md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", text.lower()):
        raise ValueError("must be none, md5: and 32, or sha256: and 64 hexadecimal digits")
    return text.lower()


def file_name(url: str) -> str:
    """Return the last part of a URL's path, e.g. "birds.tgz" of "https://host/files/birds.tgz?download=1"."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "."


Url = Annotated[str, AfterValidator(check_url)]
Checksum = Annotated[str, AfterValidator(_checksum)]


class _RetryableError(Exception):
    """A try that failed for a reason that may pass; `wait` is how many seconds the server asks to stay away."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _PermanentError(Exception):
    """A try that failed for a reason that will not change."""


class _Progress:
    """What comes of a file, held against its limit and the slowest rate."""

    def __init__(self, limits: Limits) -> None:
        self.limit = limits.unpacked_gigabytes
        self.started, self.received = time.monotonic(), 0

    def add(self, received: int, size: int) -> None:
        """Count bytes; `size` is the file's until now. Raises _PermanentError beyond a limit."""
        if size > self.limit * 1e9:
            raise _PermanentError(f"it is larger than dataset.limits.unpacked_gigabytes = {self.limit:g}")
        self.received += received
        if (seconds := time.monotonic() - self.started) > PATIENCE:
            if self.received < seconds * SLOWEST:
                raise _PermanentError(f"less than {SLOWEST} bytes a second came for {seconds:.0f} seconds")
            self.started, self.received = time.monotonic(), 0


def download(url: Url, checksum: Checksum, section: str, limits: Limits = DEFAULT_LIMITS) -> Path:
    """Return data/downloads/<name of the file behind `url`>, without any network where it is there already.

    A file counts as there when its `checksum` matches or, with "none", when it did not come from another URL.
    `section` of params.yaml holds url and checksum. Proxies are those of the environment (http_proxy, https_proxy),
    passwords those of ~/.netrc. Raises UserError where the file cannot be had, is larger than what archives may unpack
    to, a web page, or has another checksum: it is removed, so that nothing can use it.
    """
    file = DOWNLOADS / file_name(url)
    if _is_downloaded(file, url, checksum):
        return file
    unfinished = _sidecar(file, UNFINISHED)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _receive(url, unfinished, _Progress(limits))
    except (_RetryableError, _PermanentError) as error:
        if not 0 < _size(unfinished) <= limits.unpacked_gigabytes * 1e9:
            remove_download(unfinished)
        kept = "; what has come is kept, and the next run goes on from there" if _size(unfinished) else ""
        raise UserError(
            f"params.yaml: {section}.url = {url} cannot be downloaded: {error}{kept}", manual_hint(file, checksum)
        ) from None
    except OSError as error:
        raise UserError(f"{error.filename or file}: cannot be written: {error.strerror or error}") from None
    if _is_web_page(unfinished):
        remove_download(unfinished)
        raise UserError(
            f"params.yaml: {section}.url = {url}: a web page came instead of the file; open it in a browser, which may"
            " ask you to log in or to agree to something",
            manual_hint(file, checksum),
        )
    if (received := _digest(unfinished, checksum)) != checksum:
        remove_download(unfinished)
        raise UserError(
            f"params.yaml: {section}.checksum = {checksum}, but {url} has {received}; it was removed:"
            " run again, or correct the checksum if you trust what the server has now"
        )
    unfinished.replace(file)
    _sidecar(unfinished, ORIGIN).replace(_sidecar(file, ORIGIN))
    return file


def manual_hint(file: Path, checksum: Checksum = "none") -> str:
    """Return the sentence that says how to do without the network."""
    known = "" if checksum == "none" else f" (its {checksum.replace(':', ' is ')})"
    there = f"; what is there now has {_digest(file, checksum)}" if known and file.is_file() else ""
    return f"offline? bring the file from elsewhere{known}, place it as {file}, and run again{there}"


def wait_before_retry(failures: int, requested: float = 0.0) -> None:
    """Sleep after so many failures in a row: longer each time, and as long as the server has requested."""
    time.sleep(max(requested, min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1))))


def _is_downloaded(file: Path, url: str, checksum: str) -> bool:
    if not file.is_file():
        return False
    if checksum != "none":
        return _digest(file, checksum) == checksum
    if _origin(file).get("url", url) == url:  # none is noted for a file that was placed by hand
        return True
    remove_download(file)  # it has the name, but came from elsewhere
    return False


def _is_web_page(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(1000).lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGE_STARTS)


def _receive(url: str, unfinished: Path, progress: _Progress) -> None:
    """Try until the file is complete, or until MAX_TRIES in a row brought nothing new."""
    failures, furthest = 0, _size(unfinished)
    while True:
        try:
            return _try_once(url, unfinished, progress)
        except _RetryableError as error:
            # measured against the most there ever was: a server that knows no ranges starts again each time
            failures = 1 if _size(unfinished) > furthest else failures + 1
            furthest = max(furthest, _size(unfinished))
            if failures >= MAX_TRIES:
                raise
            wait_before_retry(failures, error.wait)


def _try_once(url: str, unfinished: Path, progress: _Progress) -> None:
    origin = _origin(unfinished)
    version = origin.get("version", "") if origin.get("url") == url else ""
    received = _size(unfinished) if version else 0
    # identity: what is stored and counted are the file's own bytes
    headers = {"Accept-Encoding": "identity"}
    if received:
        headers |= {"Range": f"bytes={received}-", "If-Range": version}
    timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            _check_answer(url, response)
            if response.status_code != 206 or not received:
                _begin_download(url, response, unfinished)
            _append(response, unfinished, progress)
    except (requests.RequestException, HTTPError) as error:
        reason = next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), str(error))
        raise (_PermanentError if isinstance(error, PERMANENT) else _RetryableError)(reason) from error


def _check_answer(url: str, response: requests.Response) -> None:
    """Raise where the answer is no file."""
    if url.startswith("https:") and any(each.url.startswith("http:") for each in (*response.history, response)):
        raise _PermanentError("it leads from https to http, on which anybody on the way can change what comes")
    status = f"the server says {response.status_code} {response.reason}"
    if response.status_code in RETRIED_STATUSES:
        requested = Retry().get_retry_after(response.raw) or 0.0
        if requested > LONGEST_WAIT:
            raise _PermanentError(f"{status}; try again in {requested:.0f} s, as it asks")
        raise _RetryableError(status, requested)
    if response.status_code not in (200, 206, 416):
        raise _PermanentError(status)


def _begin_download(url: str, response: requests.Response, unfinished: Path) -> None:
    """Forget what an earlier try brought, and note which version of the file now comes."""
    remove_download(unfinished)
    if response.status_code == 416:
        raise _RetryableError("the server has less than what had come")
    tag = response.headers.get("ETag", "")
    # a weak tag may stand for two files that differ in bytes
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    write_json(_sidecar(unfinished, ORIGIN), {"url": url, "version": version})


def _append(response: requests.Response, unfinished: Path, progress: _Progress) -> None:
    received = _size(unfinished)
    first, total = _range(response)
    if first != received:
        remove_download(unfinished)
        raise _RetryableError("the server sent another part than the one asked for")
    progress.add(0, total or 0)
    bar = partial(tqdm, desc=file_name(response.url), unit="B", unit_scale=True, unit_divisor=1024, disable=None)
    with unfinished.open("ab") as file, bar(initial=received, total=total) as shown:
        # read1: what has come is written at once, rather than lost when the rest of a chunk does not come
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            received += file.write(chunk)
            shown.update(len(chunk))
            progress.add(len(chunk), received)
    if total is not None and received < total:  # a server may send less than was asked for
        raise _RetryableError("the connection was cut")


def _range(response: requests.Response) -> tuple[int, int | None]:
    """Return the number of the first byte that comes, and how many the file has where the server says so."""
    if response.status_code == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        first, total = found.groups() if found else ("-1", "*")
    else:
        first, total = "0", response.headers.get("Content-Length", "*")
    return int(first), int(total) if total.isdigit() else None


def _sidecar(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _origin(file: Path) -> dict[str, str]:
    """Return what is noted about a download: its `url`, and the `version` that a server knows it by."""
    with contextlib.suppress(OSError, UserError):
        return dict(read_json(_sidecar(file, ORIGIN)))
    return {}


def remove_download(file: Path) -> None:
    """Remove a download, and the note on where it came from."""
    for path in (file, _sidecar(file, ORIGIN)):
        path.unlink(missing_ok=True)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _digest(file: Path, checksum: str) -> str:
    """Return the checksum of a file, in the same algorithm and form as `checksum`."""
    if checksum == "none":
        return checksum
    algorithm = checksum.partition(":")[0]
    # md5 is what data sets' authors publish: it helps against damage, not against malice
    new = partial(hashlib.new, algorithm, usedforsecurity=False)
    with file.open("rb") as opened:
        return f"{algorithm}:{hashlib.file_digest(opened, new).hexdigest()}"
