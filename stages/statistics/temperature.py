"""What a network's logits are worth at the temperature that suits them: how sure it is of itself can be set afterwards.

Source: Guo et al., On calibration of modern neural networks, 2017.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

LOWEST, HIGHEST = 0.05, 20.0  # between which a temperature is looked for
PRIOR = 0.5  # standard deviation of the logarithm of a temperature
CHANCE_GAIN = 2.0  # twice the log likelihood that a temperature which means nothing loses on other images

Logits = NDArray[np.float64]
Labels = NDArray[np.int64]


def best_temperature(logits: Logits, labels: Labels) -> float:
    """Return the number by which to divide logits (N, classes) so that the cross entropy of other images is low.

    Above 1 the network was too sure of itself; 1 where the images cannot tell, as where all are predicted correctly. It
    is shrunk by a normal prior of its logarithm, then as far as its gain may be chance: the non-negative garrote,
    Breiman, 1995. To be found on validation images, never on test images.
    """
    from scipy.optimize import minimize_scalar  # takes a tenth of a second, and not every process asks

    def loss(log_temperature: float) -> float:
        penalty = log_temperature**2 / (2 * PRIOR**2)
        return float(penalty + cross_entropies(logits / np.exp(log_temperature), labels).sum())

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    gained = 2 * (loss(0.0) - float(best.fun))
    return float(np.exp(best.x * max(0.0, 1 - CHANCE_GAIN / max(gained, 1e-12))))


def temperature_scaled_cross_entropies(logits: Logits, labels: Labels) -> NDArray[np.float64]:
    """Return the cross entropies (N,) in nats at their best temperature.

    It tells which of two networks knows more, whichever of them is the surer of itself.
    """
    return cross_entropies(logits / best_temperature(logits, labels), labels)


def cross_entropies(logits: Logits, labels: Labels) -> NDArray[np.float64]:
    """Return the cross entropy in nats (N,) of each image; never infinite, however sure and wrong a network is."""
    return np.asarray(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels])


def scaled_probabilities(logits: Logits, temperature: float) -> NDArray[np.float64]:
    """Return the probabilities (N, classes) that logits stand for when divided by a temperature."""
    return np.asarray(softmax(logits / temperature, axis=1))
