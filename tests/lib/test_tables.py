"""Tables and numbers as a person reads them."""

import pytest

from stages.lib.tables import duration, percent, points, table


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
