"""The best of several configurations: which it may be, and how good it is, for whoever chose it because it was best."""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.statistics.accuracies import accuracy_intervals
from stages.statistics.contrasts import pair_contrasts
from stages.statistics.differences import p_values
from stages.statistics.estimates import ALPHA, Floats, Integers, estimate, group_sums

DRAWS = 2_000
FEWEST_DRAWS, MOST_NUMBERS = 100, 20_000_000  # of many images fewer samples are drawn, so that they fit into memory


class Best(NamedTuple):
    """The best configuration, and its accuracy on other images, corrected for having been chosen, with interval."""

    configuration: int
    uncorrected: float  # accuracy on the images that chose it, which is too high
    accuracy: float
    low: float
    high: float


def best_configuration(
    correct: NDArray[Any],
    random: np.random.Generator,
    groups: Integers | None = None,
    draws: int = DRAWS,
    weights: Floats | None = None,
) -> Best:
    """Return the configuration of `correct` (C, S, N) that is correct most often (the first of several), corrected.

    `weights` (N,) are those of images, as `estimate` takes them.
    """
    outcomes = np.asarray(correct, np.float64)
    means = np.average(outcomes.mean(axis=1), axis=1, weights=weights)
    chosen = int(np.flatnonzero(means >= means.max() - 1e-9)[0])
    uncorrected = float(means[chosen])
    accuracy = (
        out_of_bag_accuracy(outcomes, random, groups, draws, weights)
        if (outcomes != outcomes[0]).any()
        else uncorrected
    )
    accuracy = min(uncorrected, accuracy)
    each = estimate(outcomes, np.eye(len(outcomes)), groups, weights)
    relative = (
        each.seeds_variance / each.binomial_variance()
    )  # of that between images: seeds matter less where nearly all is correct
    runs = relative.sum() ** 2 / max(1e-300, (relative**2).sum()) if relative.any() else 1.0
    # the best was chosen partly for varying little between seeds: all configurations together say how much it varies
    estimates = each.rows([chosen])._replace(
        seeds_variance=max(relative[chosen], relative.mean()) * each.binomial_variance()[[chosen]],
        seeds_degrees_of_freedom=each.seeds_degrees_of_freedom[[chosen]] * (1 + runs) / 2,
    )
    of = accuracy_intervals(np.array([accuracy]), estimates)
    return Best(chosen, uncorrected, accuracy, float(of.low[0]), float(of.high[0]))


def out_of_bag_accuracy(
    outcomes: Floats,
    random: np.random.Generator,
    groups: Integers | None = None,
    draws: int = DRAWS,
    weights: Floats | None = None,
) -> float:
    """Return how often the configuration that is best on some images, from some seeds, is correct on others.

    Bootstrap samples of groups choose, and those that were not drawn judge; of several seeds each in turn is left out
    and judges. Source: Tsamardinos, Greasidou and Borboudakis, 2018.
    """
    _, seeds, images = outcomes.shape
    weight = np.ones(images) if weights is None else weights
    sums, sizes = group_sums(outcomes * weight, groups), group_sums(weight, groups)  # (C, S, G), (G,)
    units = len(sizes)
    draws = max(FEWEST_DRAWS, min(draws, MOST_NUMBERS // units))
    drawn = random.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.float64)
    drawn = drawn[(drawn == 0).any(axis=1)]
    left = (drawn == 0).astype(np.float64)
    if not len(drawn):  # a single group, which cannot both choose and judge
        return float(np.average(outcomes.mean(axis=1), axis=1, weights=weight).max())
    inside = np.einsum("bg,csg->bcs", drawn, sums, optimize=True)
    outside = np.einsum("bg,csg->bcs", left, sums, optimize=True) / (left @ sizes)[:, None, None]
    choosing = inside if seeds == 1 else inside.sum(axis=2, keepdims=True) - inside
    chosen = choosing.argmax(axis=1)  # (B, S)
    return float(np.take_along_axis(outside, chosen[:, None], axis=1).mean())


def model_confidence_set(
    correct: NDArray[Any],
    runs: Integers,
    groups: Integers | None = None,
    alpha: float = ALPHA,
    weights: Floats | None = None,
) -> NDArray[np.bool_]:
    """Return which configurations (C,) of `correct` (C, S, N) cannot be told from the best.

    While any pair of those left differs surely (all pairs adjusted together), the one that loses most clearly
    leaves. All that are equally good stay, in 95 % of studies. Sources: Hansen, Lunde and Nason, The model confidence
    set, 2011, with pairwise tests; Hsu, 1981.
    """
    left = sorted({int(run) for run in runs})
    pairs = list(combinations(left, 2))
    if not pairs:
        return np.ones(len(runs), np.bool_)
    estimates = estimate(correct, pair_contrasts(pairs, runs), groups, weights)
    p_value = p_values(estimates)
    for index in np.argsort(p_value, kind="stable"):
        loser = pairs[index][0 if estimates.mean[index] > 0 else 1]
        if p_value[index] * len(left) * (len(left) - 1) / 2 >= alpha:
            break
        # only what loses to one that is left leaves; who beat it may have left since, then it has lost to another
        if loser in left and set(pairs[index]) <= set(left):
            left.remove(loser)
    return np.isin(runs, left)
