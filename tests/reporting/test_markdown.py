"""Tables and numbers as a person reads them."""

import pytest

from stages.reporting.markdown import duration, escaped, percent, points, table


def test_a_table_reads_as_plain_text_too():
    """Columns are aligned: names left, numbers right."""
    assert table(["run", "accuracy"], [["own", "5 %"], ["resnet50", "10.5 %"]]) == (
        "| run      | accuracy |\n| -------- | -------: |\n| own      |      5 % |\n| resnet50 |   10.5 % |"
    )


def test_columns_of_words_stand_left():
    """As many as said; the rule below the names tells Markdown so."""
    assert table(["finding", "here", "n"], [["it helps", "refuted", "1"], ["no", "yes", "10"]], left=2) == (
        "| finding  | here    |   n |\n| -------- | ------- | --: |\n"
        "| it helps | refuted |   1 |\n| no       | yes     |  10 |"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (177, "2 min 57 s"),
     (3599.6, "1 h 00 min"), (7260, "2 h 01 min")],
)  # fmt: skip
def test_durations(seconds, text):
    """As the reference study writes them."""
    assert duration(seconds) == text


def test_fractions():
    """Per cent for values, signed points for differences."""
    assert (percent(0.1234), points(0.05), points(-0.0123)) == ("12.3 %", "+5.0", "-1.2")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", "a\\|b"),
        ("a\nb\r\nc\u2028d", "a ↵ b ↵ c ↵ d"),
        ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
        ("*wild* _x_ `code` [a](b)", "\\*wild\\* \\_x\\_ \\`code\\` \\[a\\](b)"),
        ("back\\|slash", "back\\\\\\|slash"),
        ("&lt; & AT&T", "&amp;lt; & AT&T"),
        ("0016.Slate-breasted_Wren", "0016.Slate-breasted_Wren"),
        ("Grünfink / 中", "Grünfink / 中"),
    ],
)
def test_names_are_shown_as_they_are(name, shown):
    """Whatever they hold, a table keeps its columns and lines; names that mean nothing to Markdown stay."""
    assert escaped(name) == shown
    lines = table(["class", "n"], [[escaped(name), "1"]]).split("\n")
    assert len(lines) == 3
