"""Fingerprints: the same for the same work, wherever it lies, and another as soon as anything that shapes it is."""

from pathlib import Path

import pytest

from stages.runtime import fingerprint as module
from stages.runtime.fingerprint import code_and_libraries, fingerprint


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("data", "same", "other", "stages"):
        Path(name).mkdir()
        Path(f"{name}/0.parquet").write_bytes(b"two" if name == "other" else b"one")
    Path("stages/train.py").write_text("epochs = 1", encoding="utf-8")
    monkeypatch.setattr(module, "CODE", tmp_path / "stages")
    return tmp_path


def test_it_depends_on_everything_that_shapes_the_result(files, monkeypatch):
    """Settings, the data's bytes and names, hardware, code, and versions of libraries."""
    found = [
        fingerprint({"epochs": 1}, ["data"]),
        fingerprint({"epochs": 2}, ["data"]),
        fingerprint({"epochs": 1}, []),
        fingerprint({"epochs": 1}, ["other"]),
        fingerprint({"epochs": 1}, ["data", "data"]),
        fingerprint({"epochs": 1}, ["data"], ["CPU, 2 threads"]),
    ]
    Path("data/0.parquet").rename("data/1.parquet")
    found.append(fingerprint({"epochs": 1}, ["data"]))
    Path("stages/train.py").write_text("epochs = 2", encoding="utf-8")
    found.append(fingerprint({"epochs": 1}, ["data"]))
    Path("stages/train.py").rename("stages/tune.py")
    found.append(fingerprint({"epochs": 1}, ["data"]))
    monkeypatch.setattr(module, "version", lambda library: f"another {library}")
    found.append(fingerprint({"epochs": 1}, ["data"]))
    assert len(set(found)) == len(found)


def test_it_does_not_depend_on_where_data_lies_or_when_it_was_written(files):
    """Runs of two names may have equal files."""
    first = fingerprint({}, ["data"])
    Path("data/0.parquet").touch()
    assert fingerprint({}, ["data"]) == first
    assert fingerprint({}, ["same"]) == first


def test_a_library_that_is_not_there_is_missing():
    """As it may be on a worker of a cluster."""
    assert code_and_libraries(["numpy", "no-such-library"])["no-such-library"] == "missing"
