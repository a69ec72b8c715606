"""YAML is read as DVC reads it, and what nobody needs is refused in a line, whoever wrote the file."""

import random
from pathlib import Path

import pytest
from dvc.utils.serialize import load_yaml

from helpers.projects import ROOT
from stages.runtime.errors import UserError
from stages.runtime.yaml_files import read_yaml

HOSTILE = [
    ".inf", "-.NaN", "1e999", "9" * 5000, "[" * 3000, "[" * 200_000, "{a: " * 300, "!!timestamp x", "!!binary aGk=",
    "!!python/object:os.system x", "!!set {x}", "2026-01-01", "? [a]\n: b", "&a [*a]", "*gone", "%YAML 1.1\n---\nno",
    "--- 1\n--- 2", "a: 1\na: 2", "\x00", "\ud800", "\x85\u2028", "\t- x", "!!int x", "!!float x", "!!null [1]",
    "!!bool 5", "{<<: 3}", "{<<: {a: 1}}", "[<<]", "!<tag:yaml.org,2002:map> 3", "!!seq {a: 1}",
]  # fmt: skip


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """Name a file to write YAML to."""
    monkeypatch.chdir(tmp_path)
    return Path("file.yaml")


@pytest.mark.parametrize(
    "text",
    ["[no, yes, on, n]", "010", "0o17", "0x1F", "1:30", "1e-3", "1_000", "~", "{a: &x {p: 1}, b: {<<: *x, q: 2}}"],
)
def test_values_are_those_that_dvc_reads(file, text):
    """YAML 1.2, in which `dvc exp run -S` writes params.yaml anew."""
    file.write_text(f"key: {text}\n", encoding="utf-8")
    assert read_yaml(file) == load_yaml(str(file))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: .inf", "file.yaml, line 2: .inf is no finite number"),
        ("b: [1,\n 1e999]", "file.yaml, line 2: 1e999 is no finite number"),
        ("b: 2026-01-01", "file.yaml, line 1: 2026-01-01 is a date; write it in quotes"),
        ("a: !!binary aGk=", "file.yaml, line 1: tags (tag:yaml.org,2002:binary) are not used here"),
        ("a: " + "1" * 5000, "file.yaml, line 1: a number of 5000 digits; 20 are allowed"),
        ("a:\n " + "[" * 3000, "file.yaml, line 2: nested more than 50 deep"),
        ("? [a, b]\n: 1", "file.yaml, line 1: a key must be one word"),
        ("a: 1\na: 2", "file.yaml, line 2: not valid YAML: found duplicate key"),
    ],
)
def test_what_nobody_needs_is_refused_with_its_line(file, text, line):
    """Infinite and endless numbers, dates, odd tags, depth."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_yaml(file)
    assert str(raised.value).startswith(line)


def test_aliases_that_stand_for_millions_of_values_are_refused(file):
    """Nine names, each nine times the one before."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match="more than 100000 values"):
        read_yaml(file)


def test_no_text_ends_in_a_traceback(file):
    """The project's params.yaml with bytes changed, lines torn out, hostile values put in."""
    text = (ROOT / "params.yaml").read_bytes()
    draw = random.Random(1)  # noqa: S311  # no secret
    for _ in range(300):
        lines = text.splitlines()
        for _ in range(draw.randint(1, 4)):
            line = draw.randrange(len(lines))
            hostile = draw.choice(HOSTILE).encode("utf-8", "surrogatepass")
            changed = bytearray(lines[line] or b" ")
            changed[draw.randrange(len(changed))] = draw.randrange(256)
            lines[line] = draw.choice([bytes(changed), b"", lines[line].split(b":")[0] + b": " + hostile, hostile])
        file.write_bytes(b"\n".join(lines))
        try:
            read_yaml(file)
        except UserError as problem:
            assert str(file) in problem.lines[0]  # noqa: PT017  # most are refused, some are not


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_end_in_a_value_or_a_line(file, text):
    """Each alone, as the whole file and as a value."""
    for written in (text, f"key: {text}"):
        file.write_bytes(written.encode("utf-8", "surrogatepass"))
        try:
            assert read_yaml(file) is not ...
        except UserError as problem:
            assert len(problem.lines) == 1  # noqa: PT017
