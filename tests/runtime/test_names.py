"""Names: numbers count as numbers, and what some systems hold for one name is told apart."""

import pytest

from stages.runtime.errors import UserError
from stages.runtime.names import case_clashes, distinguishable, has_control_characters, natural_order, printable


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
    assert distinguishable("Cat", "cat") == "'Cat'"
    assert distinguishable("caf\u00e9", "cafe\u0301") == "'caf\u00e9' (caf\\xe9)"
    assert distinguishable("cafe\u0301", "caf\u00e9") == "'cafe\u0301' (cafe\\u0301)"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\x1b[2Jb", "a\\x1b[2Jb"), ("a\x9b2Jb", "a\\x9b2Jb"), ("a\u202eb", "a\\u202eb"), ("a\rb", "a\\rb")],
)
def test_what_would_change_a_terminal_is_spelled_out(name, shown):
    """Escape sequences, their form of one character, and marks that turn a text around; in every UserError."""
    assert has_control_characters(name)
    assert printable(name) == shown
    assert UserError(name, f"{name}\nmore").lines == (shown, f"{shown} more")


@pytest.mark.parametrize("name", ["bl\u00e5mes", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0646", "\u9e1f \U0001f426"])
def test_letters_of_any_script_are_no_control_characters(name):
    """Persian joins words by a character without width."""
    assert not has_control_characters(name)
