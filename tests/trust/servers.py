"""Real servers on this machine for what is shared: OpenSSH, WebDAV (nginx), S3 (moto), PostgreSQL; a line that breaks.

Each is started with a configuration, keys and port of its own in a folder of the test, and ended with it.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn

import boto3
import psutil
import pytest

PASSWORD = "open-sesame"  # noqa: S105  (of the servers below, which live as long as a test)
USER = getpass.getuser()


class Store(NamedTuple):
    """A place for shared results, as a person tells DVC of it with `dvc remote modify shared`."""

    settings: dict[str, str]  # for everybody: in Git
    personal: dict[str, str]  # with --local: not in Git
    overwrite: Callable[[str, bytes], object]  # replace a stored file behind everybody's back
    port: int = 0  # 0: no server

    def behind(self, gate: "Gate") -> dict[str, str]:
        """Return the settings by which the store is reached through a gate."""
        return {name: value.replace(str(self.port), str(gate.port)) for name, value in self.settings.items()}


@contextmanager
def local_store(folder: Path) -> Iterator[Store]:
    """A folder, as on a disk that a team shares."""
    yield Store({"url": str(folder / "store")}, {}, _overwriting(folder / "store"))


@contextmanager
def ssh_store(folder: Path) -> Iterator[Store]:
    """OpenSSH's server with one key that it knows, and no other way in."""
    sshd = _program("sshd", "openssh-server")
    keygen = _program("ssh-keygen", "openssh-client")
    for key in ("host_key", "key"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = _free_port()
    settings = f"""
        Port {port}
        ListenAddress 127.0.0.1
        HostKey {folder}/host_key
        AuthorizedKeysFile {folder}/key.pub
        PidFile none
        PermitRootLogin prohibit-password
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        StrictModes no
        UsePAM no
        Subsystem sftp internal-sftp
    """
    (folder / "sshd_config").write_text(settings, encoding="utf-8")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # which Debian's sshd wants of root, and its boot scripts make
    with _running([sshd, "-D", "-e", "-f", f"{folder}/sshd_config"], port, folder):
        shared = {"url": f"ssh://{USER}@127.0.0.1{folder}/store", "port": str(port)}
        yield Store(shared, {"keyfile": f"{folder}/key"}, _overwriting(folder / "store"), port)


@contextmanager
def webdav_store(folder: Path) -> Iterator[Store]:
    """Nginx with its two WebDAV modules and a password."""
    nginx = _program("nginx", "nginx libnginx-mod-http-dav-ext")
    places = [Path(place) for place in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")]
    module = next(filter(Path.is_file, (place / "ngx_http_dav_ext_module.so" for place in places)), None)
    if module is None:
        _missing("nginx's module dav-ext", "libnginx-mod-http-dav-ext")
    (folder / "served/store").mkdir(parents=True)
    (folder / "passwords").write_text(f"ann:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
    port = _free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    settings = f"""
        load_module {module};
        daemon off;
        master_process off;  # one process, as whoever runs the tests
        pid {folder}/pid;
        error_log stderr;
        events {{}}
        http {{
            access_log off;
            client_max_body_size 0;
            {" ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)}
            server {{
                listen 127.0.0.1:{port};
                root {folder}/served;
                auth_basic results;
                auth_basic_user_file {folder}/passwords;
                dav_methods PUT DELETE MKCOL COPY MOVE;
                dav_ext_methods PROPFIND OPTIONS;
            }}
        }}
    """
    (folder / "nginx.conf").write_text(settings, encoding="utf-8")
    with _running([nginx, "-p", str(folder), "-e", "stderr", "-c", f"{folder}/nginx.conf"], port, folder):
        shared = {"url": f"webdav://127.0.0.1:{port}/store"}
        yield Store(shared, {"user": "ann", "password": PASSWORD}, _overwriting(folder / "served/store"), port)


@contextmanager
def s3_store(folder: Path) -> Iterator[Store]:
    """Moto's server, which speaks S3 and keeps everything in memory. It lets anyone in."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with _running([str(Path(sys.executable).parent / "moto_server"), "-p", str(port)], port, folder):
        bucket = boto3.resource(
            "s3", "us-east-1", endpoint_url=address, aws_access_key_id="ann", aws_secret_access_key=PASSWORD
        ).create_bucket(Bucket="team")
        shared = {"url": "s3://team/store", "endpointurl": address, "region": "us-east-1"}
        personal = {"access_key_id": "ann", "secret_access_key": PASSWORD}
        yield Store(shared, personal, lambda name, content: bucket.put_object(Key=f"store/{name}", Body=content), port)


@contextmanager
def postgresql(host: str = "127.0.0.1") -> Iterator[str]:
    """PostgreSQL with an empty database, at one of this machine's addresses; give its URL."""
    initdb = _program("initdb", "postgresql")
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}  # it refuses to be run by root
    with TemporaryDirectory(prefix="postgresql.") as name:
        folder, port = Path(name), _free_port()
        if owner:
            shutil.chown(folder, **owner)
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        (folder / "password").chmod(0o644)
        words = [initdb, "-D", f"{folder}/db", "-U", USER, "-A", "scram-sha-256", f"--pwfile={folder}/password"]
        subprocess.run(words, check=True, cwd=folder, stdout=subprocess.DEVNULL, **owner)
        with (folder / "db/pg_hba.conf").open("a", encoding="utf-8") as file:
            file.write(f"host all all {host}/24 scram-sha-256\n")
        server = [initdb.replace("initdb", "postgres"), "-D", f"{folder}/db", "-p", str(port)]
        server += ["-c", f"listen_addresses={host},127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        with _running(server, port, folder, **owner):
            yield f"postgresql://{USER}:{PASSWORD}@{host}:{port}/postgres"


STORES = {"folder": local_store, "ssh": ssh_store, "webdav": webdav_store, "s3": s3_store}


class Gate:
    """A port before a server's: lets so many bytes through to it, then holds what follows until it breaks off."""

    def __init__(self, server: int, allowed: int) -> None:
        self.server = server
        self.allowed = allowed
        self.exhausted = threading.Event()
        self.turn = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = []

    def serve(self) -> None:
        """Pass on every connection, until the gate is closed."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server))
                self.sockets += client, server
                threading.Thread(target=self._pass, args=(client, server, self._admitted), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, len), daemon=True).start()

    def break_off(self) -> None:
        """Break every line: neither side hears from the other again."""
        for one in self.sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _pass(self, source: socket.socket, target: socket.socket, admitted: Callable[[bytes], int]) -> None:
        with suppress(OSError):
            while chunk := source.recv(4096):
                count = admitted(chunk)
                target.sendall(chunk[:count])
                if count < len(chunk):
                    return
            target.shutdown(socket.SHUT_WR)

    def _admitted(self, chunk: bytes) -> int:
        with self.turn:
            count = min(len(chunk), self.allowed)
            self.allowed -= count
        if count < len(chunk):
            self.exhausted.set()
        return count


@contextmanager
def gate(server: int, allowed: int) -> Iterator[Gate]:
    """Open a gate before the server at this port of this machine."""
    one = Gate(server, allowed)
    thread = threading.Thread(target=one.serve, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        with suppress(OSError):
            one.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        thread.join()
        one.listener.close()
        one.break_off()


@contextmanager
def _running(words: list[str], port: int, folder: Path, **owner: str) -> Iterator[None]:
    """Start a server, wait until it answers, and end it with all its children."""
    with (folder / "server.log").open("wb") as log, ExitStack() as after:
        server = psutil.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, **owner)
        after.callback(_end, server)
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert server.poll() is None, (folder / "server.log").read_text(encoding="utf-8")
            time.sleep(0.05)
        else:
            pytest.fail(f"{words[0]} does not answer within 30 s")
        yield


def _end(server: psutil.Popen) -> None:
    family = [*server.children(recursive=True), server]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(family, timeout=5)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)


def _overwriting(folder: Path) -> Callable[[str, bytes], None]:
    def overwrite(name: str, content: bytes) -> None:
        (folder / name).unlink(missing_ok=True)  # it is read-only, and DVC removes what it refused
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o444)

    return overwrite


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _program(name: str, packages: str) -> str:
    debian = map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))  # beside PATH, for there may be several
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/local/sbin", "/usr/sbin", *debian)))
    return found or _missing(name, packages)


def _missing(what: str, packages: str) -> NoReturn:
    reason = f"{what} is not installed here; on Debian or Ubuntu: apt-get install {packages}"
    if os.environ.get("SERVERS") == "required":  # as in CI, where nothing may pass unseen
        pytest.fail(reason)
    pytest.skip(reason)
