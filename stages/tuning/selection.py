"""Which trial of a search has the lowest expected validation loss, once its gain is shrunk by its noise.

Each trial is compared with the defaults on the same validation images. Its mean gain is an estimate with an error: of
the images, and of the training, which another seed would have ended otherwise. Taken as they are, the best of several
noisy gains looks better than it is. So the true spread of gains is estimated from all trials (the method of moments:
DerSimonian and Laird, Meta-analysis in clinical trials, 1986), and each gain is shrunk by the share of its error in it
(empirical Bayes: Efron and Morris, Data analysis using Stein's estimator and its generalizations, 1975). Where gains
scatter little beside what their errors would have them, nothing is left of any, and the defaults stay.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# standard deviation of a training's loss over seeds, as a share of the loss: of six on drawn birds 3 % on test images,
# and 7 % on 80 validation images, beside what follows from their number
TRAINING_LUCK = 0.04
# of the scatter that errors alone make, how much must be there before any counts as true: all of it would miss most
# true gains, and to take a trial that is only as good as the defaults costs nothing
NOISE_SHARE = 0.5


def best_expected(losses: Array, luck: float = TRAINING_LUCK) -> int:
    """Return the row of `losses` (trials, images) with the lowest expected mean; the first row is of the defaults.

    `luck` is the standard deviation of a training's loss over seeds, as a share of it.
    """
    expected = shrunken_gains(*gains_and_errors(losses, luck))
    return int(np.argmax(np.concatenate([[0.0], expected])))  # the first of equals: the defaults


def gains_and_errors(losses: Array, luck: float = TRAINING_LUCK) -> tuple[Array, Array]:
    """Return how much lower each row's mean (trials - 1,) is than the first row's, and that gain's standard error."""
    gains = losses[0] - losses[1:]
    of_training = luck * losses[[0]].mean() * np.sqrt(2)  # of a difference between two trainings
    of_images = gains.var(axis=1, ddof=1) / gains.shape[1]
    return gains.mean(axis=1), np.sqrt(np.maximum(of_images + of_training**2, 1e-24))


def shrunken_gains(gains: Array, errors: Array) -> Array:
    """Return the expected true gains (n,) of trials with these measured gains (n,) and standard errors (n,).

    They are shrunk towards zero, or where trials lose on average, as steps away from good defaults do, towards that.
    """
    if len(gains) == 0:
        return gains
    weights = 1 / errors**2
    centre = min(0.0, float(np.average(gains, weights=weights)))
    excess = np.sum(weights * (gains - centre) ** 2) - NOISE_SHARE * len(gains)
    spread = max(0.0, float(excess / weights.sum()))
    shrunken: Array = centre + spread / (spread + errors**2) * (gains - centre)
    return shrunken
