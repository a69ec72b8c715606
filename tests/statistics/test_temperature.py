"""Temperatures: what a network knows is one thing, how sure it is of itself another."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from stages.statistics.temperature import best_temperature, scaled_probabilities, temperature_scaled_cross_entropies


def world(count: int, truth: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (count, 5), and labels drawn with the probabilities that the logits over `truth` stand for."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, 5))
    return logits, (logits / truth + rng.gumbel(size=logits.shape)).argmax(1)


@pytest.mark.parametrize("truth", [0.4, 1, 2.5, 8])
def test_the_temperature_of_a_known_world_is_found(truth):
    """The labels were drawn at it."""
    assert best_temperature(*world(20_000, truth)) == pytest.approx(truth, rel=0.05)


def test_scaling_does_no_harm_on_other_images():
    """Neither where the network is right as it is, nor where it was right on all of few images."""
    change = []
    for seed in range(100):
        logits, labels = world(60, 1.0, seed)
        scaled = scaled_probabilities(logits, best_temperature(*world(60, 1.0, 1000 + seed)))
        change.append(
            log_loss(labels, scaled, labels=range(5))
            - log_loss(labels, scaled_probabilities(logits, 1), labels=range(5))
        )
    assert np.mean(change) < 0.01


@pytest.mark.parametrize("temperature", [0.05, 0.7, 20])
def test_scaling_never_changes_the_class_that_is_named(temperature):
    """Nor that these are probabilities; only how sure they are."""
    logits, _ = world(500, 1)
    scaled = scaled_probabilities(logits, temperature)
    assert (scaled.argmax(1) == logits.argmax(1)).all()
    assert scaled.sum(1) == pytest.approx(np.ones(500))
    assert ((scaled.max(1) > scaled_probabilities(logits, 1).max(1)) == (temperature < 1)).all()


@pytest.mark.parametrize("factor", [0.3, 2, 4])
def test_the_scaled_loss_is_the_same_however_sure_a_network_is(factor):
    """Unscaled, three times as sure is far better or worse."""
    logits, labels = world(3000, 1.5)
    before, after = (temperature_scaled_cross_entropies(each, labels) for each in (logits, factor * logits))
    assert after == pytest.approx(before, abs=0.1)
    assert after.mean() == pytest.approx(before.mean(), abs=0.002)
    losses = [log_loss(labels, scaled_probabilities(each, 1), labels=range(5)) for each in (logits, factor * logits)]
    assert abs(losses[0] - losses[1]) > 0.05


def test_who_knows_more_has_the_lower_scaled_loss():
    """It is the mean cross entropy at the best temperature."""
    logits, labels = world(300, 1.5)
    noisy = logits + np.random.default_rng(1).normal(0, 2, logits.shape)
    losses = [temperature_scaled_cross_entropies(each, labels).mean() for each in (logits, noisy)]
    assert losses[0] < losses[1]
    at_best = scaled_probabilities(noisy, best_temperature(noisy, labels))
    assert losses[1] == pytest.approx(log_loss(labels, at_best, labels=range(5)))


def test_the_temperature_stays_where_all_is_right():
    """1, and not at its bound; and where there is something to learn it is learnt."""
    random = np.random.default_rng(0)
    margins = random.choice([-1, 1], 50) * random.uniform(3, 9, 50)
    logits = np.stack([margins, -margins], axis=1)
    assert best_temperature(logits, logits.argmax(axis=1)) == 1
    weak = random.normal(0, 2, (2000, 5))
    labels = (np.exp(weak) / np.exp(weak).sum(axis=1, keepdims=True)).cumsum(axis=1) > random.random((2000, 1))
    assert best_temperature(3 * weak, labels.argmax(axis=1)) == pytest.approx(3, rel=0.05)
