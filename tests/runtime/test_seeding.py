"""Random draws depend on the seed and on what they are for, on nothing else."""

import itertools

import numpy as np

from stages.runtime.seeding import derived_seed, stream, uniform


def test_a_stream_is_the_same_everywhere():
    """The seed of a stream is the same on every machine and in every version: these values are pinned."""
    assert derived_seed(1, "augment", "raven/3.jpg", 2) == 6_820_863_994_235_004_877
    assert stream(1, "augment", "raven/3.jpg", 2).integers(0, 1000, 3).tolist() == [800, 627, 763]


def test_a_stream_does_not_depend_on_other_draws():
    """Drawing from one stream, or from NumPy's global state, changes nothing in another."""
    first = stream(1, "a").random(3).tolist()
    stream(1, "b").random(100)
    np.random.default_rng().random()
    assert stream(1, "a").random(3).tolist() == first


def test_other_names_give_other_streams():
    """Seed, words, numbers, their order and where one word ends all count: no two streams are one."""
    names = [
        (),
        ("a",),
        ("b",),
        ("a", "b"),
        ("b", "a"),
        ("ab",),
        ("a", ""),
        ("a", 1),
        ("a", "1"),
        ("a", 1, 0),
        ("a", 10),
    ]
    seeds = [derived_seed(seed, *name) for seed, name in itertools.product((0, 1, 10), names)]
    assert len(set(seeds)) == len(seeds)


def test_seeds_fit_where_seeds_go():
    """A seed has 63 bits, as torch and NumPy take them, and uses them all."""
    seeds = [derived_seed(0, count) for count in range(1000)]
    assert max(seeds) < 2**63
    assert min(seeds) >= 0
    for bit in range(63):
        assert 350 < sum(seed >> bit & 1 for seed in seeds) < 650


def test_streams_of_neighbours_are_independent():
    """The draws of images 1, 2, 3, ... are uncorrelated and even."""
    draws = np.array([stream(0, "augment", count).random(2) for count in range(2000)])
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.1
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 0.1


def test_single_numbers_fill_their_range_evenly():
    """Each name has its number, the same each time, and a thousand of them are spread as chance spreads them."""
    numbers = np.array([uniform(-2, 6, 1, "hue", count) for count in range(1000)])
    assert numbers.tolist() == [uniform(-2, 6, 1, "hue", count) for count in range(1000)]
    assert -2 <= numbers.min() < -1.9
    assert 5.9 < numbers.max() < 6
    assert np.histogram(numbers, 8, (-2, 6))[0].min() > 90
