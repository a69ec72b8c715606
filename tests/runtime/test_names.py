"""Names: numbers count as numbers, and what some systems hold for one name is told apart."""

import pytest

from stages.runtime.names import case_clashes, natural_order, spelled


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "2", "1"], ["1", "2", "10"]),
        (["07", "10", "1"], ["1", "07", "10"]),
        (["1.5", "-2", "10"], ["-2", "1.5", "10"]),
        (["010", "10", "9"], ["9", "010", "10"]),
        (["10", "2", "crow"], ["10", "2", "crow"]),
        (["jay", "Crow", "crow", "jay"], ["Crow", "crow", "jay"]),
        (["²", "10", "2"], ["10", "2", "²"]),
        ([], []),
    ],
)
def test_names_that_are_all_numbers_sort_by_value(names, ordered):
    """1, 2, 10; one that is no number leaves all in the order of their letters."""
    assert natural_order(names) == ordered


def test_names_that_some_systems_hold_for_one_are_found():
    """Case and the composition of accents do not count on macOS and Windows."""
    assert case_clashes(["Cat", "cat", "jay"]) == [("Cat", "cat")]
    assert case_clashes(["caf\u00e9", "cafe\u0301", "cafe"]) == [("cafe\u0301", "caf\u00e9")]
    assert case_clashes(["STRASSE", "straße", "1", "2"]) == [("STRASSE", "straße")]
    assert case_clashes(["cat", "cats"]) == []


def test_names_that_look_the_same_are_shown_apart():
    """Letters alone would not tell a person what differs."""
    assert spelled("Cat", "cat") == "'Cat'"
    assert spelled("caf\u00e9", "cafe\u0301") == "'caf\u00e9' (caf\\xe9)"
    assert spelled("cafe\u0301", "caf\u00e9") == "'cafe\u0301' (cafe\\u0301)"
