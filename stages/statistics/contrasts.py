"""What is compared with what: contrasts (C,) that weigh configurations, with pairs that were never tried left out.

`runs` (C,) numbers the runs: configurations that are the same run (tuned that is default) have the same number, that of
the first of them.
"""

from collections.abc import Sequence

import numpy as np

from stages.statistics.estimates import Floats, Integers

Pair = tuple[int, int]  # before and after, each a configuration


def merged_runs(contrasts: Floats, runs: Integers) -> Floats:
    """Return contrasts (K, C) with the weight of a run on its first configuration; all zero where runs are the same."""
    onto = np.zeros((len(runs), len(runs)))
    onto[np.arange(len(runs)), runs] = 1
    return np.asarray(np.round(contrasts @ onto, 12) + 0.0)


def pair_contrasts(pairs: Sequence[Pair], runs: Integers) -> Floats:
    """Return a contrast (P, C) for each pair, all zero where both are the same run."""
    found = np.zeros((len(pairs), len(runs)))
    for row, (before, after) in zip(found, pairs, strict=True):
        row[after] += 1
        row[before] -= 1
    return merged_runs(found, runs)


def mean_gain(pairs: Sequence[Pair], runs: Integers) -> Floats | None:
    """Return the mean of the pairs (C,) that are two runs; None where a change was never tried: "not tested"."""
    tried = [pair for pair in pairs if runs[pair[0]] != runs[pair[1]]]
    return np.asarray(pair_contrasts(tried, runs).mean(axis=0)) if tried else None


def gain_difference(first: Sequence[Pair], second: Sequence[Pair], blocks: Integers, runs: Integers) -> Floats | None:
    """Return how much more one change gained than another (C,), over the blocks (networks) that tried both.

    `blocks` (C,) numbers the network of each configuration; each network counts alike. None where none tried both.
    """
    leads = []
    for block in np.unique(blocks):
        of_block = [[pair for pair in pairs if blocks[pair[0]] == block] for pairs in (first, second)]
        one, other = (mean_gain(pairs, runs) for pairs in of_block)
        if one is not None and other is not None:
            leads.append(one - other)
    return np.asarray(np.mean(leads, axis=0)) if leads else None


def distinct(contrasts: Floats) -> tuple[Integers, Integers]:
    """Return the rows (L,) of contrasts (K, C) that differ, and the number of each one's like among them (K,).

    -1 stands for one that is all zero: the same run twice. Contrasts are to be `merged_runs`.
    """
    rows: list[int] = []
    numbers: dict[bytes, int] = {}
    found = np.full(len(contrasts), -1)
    for index, contrast in enumerate(contrasts):
        if contrast.any():
            if (key := contrast.tobytes()) not in numbers:
                numbers[key] = len(rows)
                rows.append(index)
            found[index] = numbers[key]
    return np.array(rows, np.int64), found
