"""dataset.classes: all, so many, or by name; a slip is one line that says what to write."""

import pytest

from helpers.projects import set_params
from stages import fetch
from stages.datasets.common.selection import Selection
from stages.runtime.config import read_section
from stages.runtime.errors import UserError

ALLOWED = "must be all, a whole number of 2 or more, or a list of two or more names"
QUOTE = (
    "names must be text, and YAML reads here {}; put such names in quotes, spelled as their folders are:"
    ' "1", "no", "1e3"'
)


def set_classes(project, text: str) -> None:
    """Write dataset.classes into params.yaml as a person spells it."""
    lines = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    spelled = [f"  classes: {text}" if line.startswith("  classes:") else line for line in lines]
    (project / "params.yaml").write_text("\n".join(spelled), encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "shown", "why"),
    [
        ("[1, 2, 10]", "[1, 2, 10]", QUOTE.format("1, 2, 10")),
        ("[no, 1e3]", "['no', 1000.0]", QUOTE.format("1000.0")),
        ("[true, crow]", "[True, 'crow']", QUOTE.format("True")),
        ("[crow, null]", "['crow', None]", QUOTE.format("None")),
        ("[1, 1.5]", "[1, 1.5]", QUOTE.format("1, 1.5")),
        ('"10"', "'10'", f'{ALLOWED}: the number 10 without quotes, or ["10", ...] for the class of that name'),
        ("crow", "'crow'", f'{ALLOWED}: ["crow", ...]'),
        ("1", "1", ALLOWED),
        ("true", "True", ALLOWED),
        ("yes", "'yes'", f'{ALLOWED}: ["yes", ...]'),
        ("2.5", "2.5", ALLOWED),
        ("[crow]", "['crow']", ALLOWED),
        ("[crow, crow]", "['crow', 'crow']", ALLOWED),
        ("{crow: 1}", "{'crow': 1}", ALLOWED),
    ],
)
def test_classes_that_are_not_what_they_look_like_are_one_line(project, text, shown, why):
    """YAML takes some names for numbers and truth values: the line says how to write them."""
    set_classes(project, text)
    with pytest.raises(UserError) as raised:
        read_section("dataset", fetch.Dataset)
    (line,) = raised.value.lines
    assert line.split(": ", 1)[1] == f"dataset.classes = {shown} is not allowed: {why}"


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("all", "all"), ("20", 20), ('["1", "2", "10"]', ["1", "2", "10"]), ('["no", "1e3"]', ["no", "1e3"]),
        ("[crow, 1st]", ["crow", "1st"]),
    ],
)  # fmt: skip
def test_classes_are_what_they_look_like(project, text, classes):
    """A number is how many, a list is names."""
    set_classes(project, text)
    assert read_section("dataset", fetch.Dataset).classes == classes


def chosen(classes, *names: str, smallest: int = 0, **counts: int) -> list[str]:
    return Selection(classes, min_images_per_class=smallest).class_names(dict.fromkeys(names, 5) | counts)


def test_numbers_are_chosen_in_their_order():
    """The first three of 1, 07, 10 and 100 are 1, 07 and 10; a list comes in the same order."""
    assert chosen(3, "100", "10", "07", "1") == ["1", "07", "10"]
    assert chosen(["10", "2"], "1", "10", "2") == ["2", "10"]
    assert chosen("all", "10", "9", "crow") == ["10", "9", "crow"]


def test_a_name_is_found_however_its_accents_are_composed():
    """A keyboard and a Mac's folder compose them differently."""
    assert chosen(["caf\u00e9", "tea"], "cafe\u0301", "milk", "tea") == ["cafe\u0301", "tea"]


def test_small_classes_make_room_for_the_next():
    """The first two of those with three images or more; what was passed over is noted, what comes later is not."""
    selection = Selection(2, min_images_per_class=3)
    assert selection.class_names({"ani": 3, "crow": 2, "jay": 4, "kea": 1, "rook": 9}) == ["ani", "jay"]
    assert selection.left_out == {"crow": 2}
    with pytest.raises(UserError, match=r"dataset.classes = 4, but the source has 3 of 3 images or more; lower it"):
        chosen(4, "ani", "jay", "rook", smallest=3, crow=2)


def test_every_source_leaves_small_classes_out(project):
    """Invented birds of five images each are all too few for six."""
    set_params(project, dataset__min_images_per_class=6, dataset__classes="all", dataset__synthetic__images_per_class=5)
    with pytest.raises(UserError, match=r"dataset.min_images_per_class = 6 leaves 0 of 200 classes"):
        fetch.main()
