"""Settings: what is wrong is said in one line each, with file, line, key and remedy."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from stages.runtime.config import Section, read_section
from stages.runtime.errors import UserError


class Oven(Section):
    """Settings to try things on."""

    degrees: int = Field(ge=0, le=250)
    minutes: float = Field(gt=0)
    mode: Literal["fan", "grill"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lines_for(text: str, key: str = "oven", schema: type = Oven) -> tuple[str, ...]:
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_section(key, schema)
    return raised.value.lines


def test_a_section_is_read_as_its_schema_says():
    """Numbers may be written as 1e1."""
    Path("params.yaml").write_text("oven: {degrees: 200, minutes: 1e1, mode: fan}")
    assert read_section("oven", Oven) == Oven(degrees=200, minutes=10.0, mode="fan")


def test_every_mistake_is_named_at_once():
    """A person mends all mistakes after one attempt."""
    text = "oven:\n  degrees: 300\n  minutes: long\n  mode: steam\n"
    assert lines_for(text) == (
        "params.yaml, line 2: oven.degrees = 300 is not allowed: should be less than or equal to 250",
        "params.yaml, line 3: oven.minutes = 'long' is not allowed: should be a valid number,"
        " unable to parse string as a number",
        "params.yaml, line 4: oven.mode = 'steam' is not allowed: should be 'fan' or 'grill'",
    )


def test_a_mistyped_key_gets_a_suggestion():
    """The nearest setting is offered; the one that is now missing is named as well."""
    assert lines_for("oven:\n  degree: 200\n  minutes: 5\n  mode: fan\n") == (
        "params.yaml, line 2: oven.degrees is missing; add it",
        "params.yaml, line 2: oven.degree is not a setting; did you mean degrees?",
    )


def test_a_key_that_is_like_no_other_gets_the_list():
    """Where nothing is near, all settings are listed."""
    text = "oven: {degrees: 200, minutes: 5, mode: fan, colour: red}"
    assert lines_for(text) == (
        "params.yaml, line 1: oven.colour is not a setting; allowed here: degrees, minutes, mode",
    )


def test_a_missing_section_is_named():
    """Not a traceback: the key, and where it belongs."""
    assert lines_for("kettle: {}") == (
        "params.yaml: oven is missing; add the key (git log -p params.yaml shows how it was)",
    )


def test_a_section_that_is_no_mapping_is_named():
    """A value where settings belong is a mistake of that key."""
    (line,) = lines_for("oven: hot")
    assert line.startswith("params.yaml, line 1: oven = 'hot' is not allowed: ")


@pytest.mark.parametrize("text", ["oven: [", "a: b: c", "\tx: 1", "- just\n- a list", ""])
def test_a_file_that_is_no_mapping_in_yaml_is_one_line(text):
    """Broken YAML is a line with the file's name, not a traceback."""
    (line,) = lines_for(text)
    assert line.startswith("params.yaml")


def test_a_missing_file_says_where_to_be():
    """Run in the wrong folder, a stage says so."""
    with pytest.raises(UserError, match="top folder"):
        read_section("oven", Oven)


def test_a_value_without_a_section_is_read_too():
    """`seed` is a plain number."""
    Path("params.yaml").write_text("seed: 3")
    assert read_section("seed", int) == 3
    assert lines_for("seed: x", "seed", int)[0].startswith("params.yaml, line 1: seed = 'x' is not allowed")


@pytest.mark.parametrize(("text", "lines"), [
    ("oven: [1]", ("params.yaml, line 1: oven.1 is missing; add it",)),
    ("oven: []", ("params.yaml, line 1: oven.0 is missing; add it", "params.yaml, line 1: oven.1 is missing; add it")),
])  # fmt: skip
def test_a_list_that_is_too_short_is_said(text, lines):
    """Of two bounds, say, there is but one."""
    assert lines_for(text, schema=tuple[int, int]) == lines
