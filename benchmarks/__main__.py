"""`python -m benchmarks`: what measures speed, with a sentence and the minutes of each.

`python -m benchmarks all`, which `make bench` calls, runs those of the README's section on speed one after the other.
"""

import subprocess
import sys
import time
from pathlib import Path

from helpers.catalogue import catalogue
from helpers.projects import ENVIRONMENT
from stages.reporting.markdown import duration

MINUTES = {  # about, on two cores without a GPU
    "classify": "2",
    "cost_per_image": "10",
    "dask_cluster": "3",
    "distributed": "10",
    "features": "2",
    "inference": "5",
    "memory_budget": "8",
    "pipeline": "7",
    "preparing": "8",
    "push_and_pull": "2",
    "scaling": "3",
    "training": "20",
    "waiting": "3",
}
IN_THE_README = ("training", "preparing", "pipeline", "push_and_pull", "scaling")


def main() -> None:
    """Run the README's; stop at the first that fails."""
    start = time.monotonic()
    for name in IN_THE_README:
        print(f"\n## {name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env=ENVIRONMENT, check=False).returncode:
            sys.exit(f"benchmarks.{name} failed")
    print(f"\nall: {duration(time.monotonic() - start)}; the single rounds are in benchmarks/results")


if __name__ == "__main__":
    if sys.argv[1:] == ["all"]:
        main()
    else:
        print(catalogue(Path(__file__).parent, MINUTES))
