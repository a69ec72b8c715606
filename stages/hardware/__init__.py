"""Before torch is imported: how long its threads wait in a loop before they sleep, and what it imports late.

And how often Python looks for unused objects that refer to each other: torch makes many that stay, and a training few.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path

from stages.hardware.lazy_compiler import defer_compiler_import

# OpenMP's own 300,000 turns are right where steps are short: on an Intel Xeon with AMX, training in bfloat16, few cost
# the own CNN a quarter of its speed alone, and gain nothing beside another program. Elsewhere a thread that waits keeps
# the one that it waits for from running: on an AMD EPYC, few made training beside one other program four times as fast
# without bfloat16, for a twentieth of its speed alone, and five times with it (130 s, then 27 s).
SHORT_SPINCOUNT = "10000"
# more objects than freed ones, from one look to the next; Python's own 700 cost a tenth of the import, and more later
GC_THRESHOLD = 100_000


def _has_amx() -> bool:
    """Say whether the processor has AMX, on Linux; elsewhere torch brings an OpenMP that is told otherwise."""
    with suppress(OSError):
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return False


if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys() and not _has_amx():
    os.environ["GOMP_SPINCOUNT"] = SHORT_SPINCOUNT
gc.set_threshold(GC_THRESHOLD)
defer_compiler_import()
