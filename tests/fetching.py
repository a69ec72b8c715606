"""What fetch makes of a person's images, for the tests that look at it."""

from pathlib import Path

import pytest

from stages import fetch
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv


def fetched() -> list[str]:
    fetch.main()
    raw = Path("data/raw")
    return sorted(file.relative_to(raw).as_posix() for file in raw.rglob("*") if file.is_file())


def refused() -> tuple[str, ...]:
    with pytest.raises(UserError) as raised:
        fetch.main()
    assert not Path("data/raw").exists()
    return raised.value.lines


def bad_files() -> dict[str, tuple[str, str]]:
    return {row["file"]: (row["class"], row["reason"]) for row in read_csv("data/raw/bad_files.csv")}
