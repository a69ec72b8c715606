"""Answers that are made up or drawn, for tests of what is said of them."""

import numpy as np

PAIR = np.array([[-1.0, 1.0]])


def answers(lost: int, gained: int, both: int = 20, neither: int = 20) -> np.ndarray:
    """Two configurations, one seed each."""
    return np.array([
        np.repeat([1, 0, 1, 0], [lost, gained, both, neither]), np.repeat([0, 1, 1, 0], [lost, gained, both, neither])
    ])[:, None]  # fmt: skip


def drawn(random, seeds=1, images=300, configurations=2, *, luck=0.0, level=0.5, group=1):
    """Answers of equally good configurations; in groups, nine tenths of the variance are the group's."""

    def varied(deviation, *shape):
        shared = np.repeat(random.normal(0, deviation, (*shape, -(-images // group))), group, axis=-1)[..., :images]
        own = random.normal(0, deviation, (*shape, images))
        return shared if group == 1 else np.sqrt(0.9) * shared + np.sqrt(0.1) * own

    lucky = random.normal(0, 1, (configurations, seeds, 1)) * np.reshape(luck, (-1, 1, 1))
    return level + varied(0.8) + varied(0.3, configurations, 1) + lucky + varied(0.5, configurations, seeds) > 0
