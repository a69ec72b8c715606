"""What every stage's `python -m stages.<stage>` does around its `main`."""

import sys
from collections.abc import Callable

from stages.lib.problems import Problem

INTERRUPTED = 130  # what a shell reports for Ctrl-C: 128 + SIGINT


def run_stage(main: Callable[..., None]) -> None:
    """Call `main` with the command line's words; show a Problem as plain lines and exit with 1."""
    try:
        main(*sys.argv[1:])
    except Problem as problem:
        for line in problem.lines:
            print(f"error: {line}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: nothing of this stage was kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
