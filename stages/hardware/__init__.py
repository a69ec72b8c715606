"""Before torch is imported: how long its threads wait in a loop before they sleep, and what it imports late.

And how often Python looks for unused objects that refer to each other: torch makes many that stay, and a training few.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path

from stages.hardware.lazy_compiler import import_late

# OpenMP's own 300,000 turns are right where steps are short: on an Intel Xeon with AMX, training in bfloat16, few cost
# the own CNN a quarter of its speed alone, and gain nothing beside another program. Elsewhere a thread that waits keeps
# the one that it waits for from running: on an AMD EPYC without bfloat16, training beside one other program became four
# times as fast by few turns, for a twentieth of its speed alone.
FEW_TURNS = "10000"
# more objects than freed ones, from one look to the next; Python's own 700 cost a tenth of the import, and more later
NEW_OBJECTS = 100_000


def _is_fast_in_bfloat16() -> bool:
    """Say what device.is_fast_in_bfloat16 does, on Linux; elsewhere torch brings an OpenMP that is told otherwise."""
    with suppress(OSError):
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return "amx_bf16" in known or ("avx512_bf16" in known and "GenuineIntel" not in known)
    return False


if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys() and not _is_fast_in_bfloat16():
    os.environ["GOMP_SPINCOUNT"] = FEW_TURNS
gc.set_threshold(NEW_OBJECTS)
import_late()
