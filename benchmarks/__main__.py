"""`make bench`: what the README's section on speed says, one benchmark after the other, under 40 minutes on 2 cores."""

import subprocess
import sys
import time

from benchmarks.studies import ENVIRONMENT
from stages.reporting.markdown import duration

BENCHMARKS = ("training", "preparing", "pipeline", "sharing", "growth")


def main() -> None:
    """Run all of them; stop at the first that fails."""
    start = time.monotonic()
    for name in BENCHMARKS:
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=ENVIRONMENT, check=False).returncode:
            sys.exit(f"benchmarks.{name} failed")
    print(f"\nall: {duration(time.monotonic() - start)}; the single rounds are in benchmarks/results")


if __name__ == "__main__":
    main()
