"""Named random streams: each draw in the study depends on `seed` and on what it is for, on nothing else."""

import hashlib
import json

import numpy as np


def derived_seed(seed: int, *names: str | int) -> int:
    """Return the 63-bit seed of the stream called `names`, e.g. ("augment", "raven/3.jpg", 2).

    Streams with different names are independent, so that neither order nor number of workers nor a new stage
    changes what another stage draws.
    """
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator at the start of the stream called `names`."""
    return np.random.default_rng(derived_seed(seed, *names))


def uniform(low: float, high: float, seed: int, *names: str | int) -> float:
    """Return the one number of the stream called `names`, low <= number < high: cheaper than a generator for it."""
    share = (derived_seed(seed, *names) >> 10) / 2**53
    return low + (high - low) * share
