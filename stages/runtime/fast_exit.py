"""How a program ends that has imported torch: at once, for Python would take half a second to take all of it apart."""

import atexit
import os
import sys
from typing import NoReturn


def leave(status: int = 0) -> NoReturn:
    """End this process with an exit status once what is registered for its end is done and all is printed."""
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more, or the disk is full
        status = status or 1
    os._exit(status)
