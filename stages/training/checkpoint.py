"""What an interrupted training leaves, so that its next start goes on from there and ends in the same bytes.

A checkpoint lies in data/checkpoints as long as its training runs, and is no stage's output.
"""

import io
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from stages.runtime.files import atomic_file

FOLDER = Path("data/checkpoints")
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, AttributeError, EOFError, pickle.UnpicklingError)


class Checkpoint:
    """The state of the training called `name`, good for one fingerprint of all that shapes its result."""

    def __init__(self, name: str, fingerprint: str) -> None:
        self.path = FOLDER / f"{name}.pt"
        self.fingerprint = fingerprint

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a kill at any moment leaves the old one or the new one."""
        content = io.BytesIO()  # a full disk is then an OSError, which says so, and not one of torch's
        torch.save({"fingerprint": self.fingerprint, "state": state}, content)
        with atomic_file(self.path) as unfinished:
            unfinished.write_bytes(content.getbuffer())

    def restore(self) -> dict[str, Any] | None:
        """Return what `save` was given, on the CPU; None where there is nothing, or nothing that is of use, and why."""
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            state: dict[str, Any] = content["state"]
            if content["fingerprint"] == self.fingerprint:
                return state
            print(f"{self.path} is of other settings, data, code or hardware: starting anew", file=sys.stderr)
        except FileNotFoundError:
            pass
        except UNREADABLE as error:
            print(f"{self.path} cannot be read ({type(error).__name__}): starting anew", file=sys.stderr)
        return None

    def remove(self) -> None:
        """Remove the checkpoint, for its training has ended."""
        self.path.unlink(missing_ok=True)
