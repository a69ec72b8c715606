"""Machines for measurements and tests: network namespaces of this one, joined by a bridge (Linux, root, iproute2)."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from helpers.projects import ENVIRONMENT

# of this process's own, so that several can have machines at once
SUBNET = f"10.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
HOST = f"{SUBNET}.254"  # this machine itself, as the others reach it


class Machine(NamedTuple):
    """A network namespace, and its address at the bridge."""

    name: str
    address: str

    def start(self, *words: str, folder: Path, settings: Mapping[str, str], **options: Any) -> subprocess.Popen[str]:
        """Start a command there, in a folder, with an environment like a user's and `settings`."""
        command = ("ip", "netns", "exec", self.name, *words)
        return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT | dict(settings), text=True, **options)


@cache
def available() -> bool:
    """Say whether there can be such machines here: a container's root often may not make them."""
    if os.geteuid() or not shutil.which("ip"):
        return False
    try:
        with machines(1):
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Give so many machines, which reach each other and this one."""
    bridge = f"study{os.getpid()}"
    found = [Machine(f"{bridge}-{number}", f"{SUBNET}.{number}") for number in range(1, count + 1)]
    with ExitStack() as stack:
        _ip("link", "add", bridge, "type", "bridge")
        stack.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{HOST}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, machine in enumerate(found, 1):
            _ip("netns", "add", machine.name)
            stack.callback(_ip, "netns", "del", machine.name)
            cable = f"v{os.getpid()}-{number}"
            _ip("link", "add", cable, "master", bridge, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
            _ip("link", "set", cable, "up")
            _ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", machine.name, "link", "set", device, "up")
        yield found


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, capture_output=True)
