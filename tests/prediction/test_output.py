"""Names of files and classes are text, whatever reads them."""

import pytest

from stages.prediction.output import printable, without_formula


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\n\x1b[31mb\t", "a\\n\\x1b[31mb\\t"), ("Kohlmeise ü 🐦 שלום C:\\x", "Kohlmeise ü 🐦 שלום C:\\x")],
)
def test_names_do_not_steer_a_terminal(text, shown):
    """Line breaks and escapes are shown, other letters are as they were."""
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "=\n"])
def test_names_are_no_formulas(text):
    """As a spreadsheet would take them from a CSV file."""
    assert without_formula(text) == f"'{printable(text)}"
