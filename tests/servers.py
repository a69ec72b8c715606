"""A web server on this machine, with the faults that real ones have, for tests of what downloads."""

import re
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Cut(NamedTuple):
    """Close the connection after so many bytes of the body."""

    after: int


class Stall(NamedTuple):
    """Send so many bytes of the body, then nothing until the server ends."""

    after: int


class Status(NamedTuple):
    """Answer with this status and these headers, and without a file."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()


class Trickle(NamedTuple):
    """Send a byte at a time, with a pause of so many seconds before each."""

    seconds: float


class Request(NamedTuple):
    """A request as it came."""

    target: str  # the path, or the whole URL where this server is asked as a proxy
    headers: Mapping[str, str]


class Server:
    """What is served, under which conditions, and what has happened since.

    `faults` are used up one a request, None for a request that goes well; then all goes well.
    """

    def __init__(self, files: Mapping[str, bytes], address: str) -> None:
        self.files = dict(files)
        self.address = address
        self.faults: list[Cut | Stall | Status | Trickle | None] = []
        self.ranges = True
        self.headers = {"ETag": '"first"'}
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self.ended = threading.Event()

    def url(self, name: str) -> str:
        """Return the URL of a served file."""
        return f"{self.address}/{name}"


@contextmanager
def serving(files: Mapping[str, bytes], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve the bytes of `files` by name on a free port of this machine, by https where `tls` has a certificate."""

    class Handler(_Handler):
        pass

    listener = _Listener(("127.0.0.1", 0), Handler)
    if tls:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    Handler.served = server = Server(files, f"http{'s' if tls else ''}://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client left before it had all: some look at an answer's headers only."""
        if not isinstance(sys.exception(), ConnectionError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    served: Server

    def do_HEAD(self) -> None:
        """Say of a file how long it is, as some ask before they fetch it; no fault is used up."""
        body = self.served.files.get(urlsplit(self.path).path.lstrip("/"))
        if body is None:
            self._respond(Status(404))
            return
        self._respond(Status(200, tuple(self.served.headers.items())), len(body))

    def do_GET(self) -> None:
        server = self.served
        server.requests.append(Request(self.path, dict(self.headers)))
        fault = server.faults.pop(0) if server.faults else None
        body = server.files.get(urlsplit(self.path).path.lstrip("/"))
        if isinstance(fault, Status) or body is None:
            self._respond(fault if isinstance(fault, Status) else Status(404))
            return
        first = self._first_byte() if server.ranges else 0
        if first >= len(body):
            self._respond(Status(416, (("Content-Range", f"bytes */{len(body)}"),)))
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        for name, value in {"Content-Length": str(len(body) - first), **server.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if isinstance(fault, Trickle):
            self._trickle(body[first:], fault.seconds)
            return
        sent = body[first : first + fault.after] if fault else body[first:]
        server.bytes_sent += len(sent)  # before they go: who has received them may ask at once
        self.wfile.write(sent)
        if isinstance(fault, Stall):
            server.ended.wait()

    def _trickle(self, body: bytes, seconds: float) -> None:
        for byte in body:
            if self.served.ended.wait(seconds):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (named as what it overrides)
        """Say nothing."""

    def _first_byte(self) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        version = self.headers.get("If-Range")
        known = version in (None, *self.served.headers.values())
        return int(asked[1]) if asked and known else 0

    def _respond(self, status: Status, length: int = 0) -> None:
        self.send_response(status.code)
        for name, value in (*status.headers, ("Content-Length", str(length))):
            self.send_header(name, value)
        self.end_headers()
