"""Keys: the same for the same work, wherever it lies, and another as soon as anything that shapes it is."""

from importlib.metadata import version
from pathlib import Path

import pytest

from stages.training import fingerprint
from stages.training.fingerprint import code_of, key_of, libraries_of


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("data", "same", "other"):
        Path(name).mkdir()
        Path(f"{name}/0.parquet").write_bytes(b"two" if name == "other" else b"one")
    Path("code.py").write_text("import numpy\n", encoding="utf-8")
    return tmp_path


def test_the_key_depends_on_everything_that_shapes_the_result(files, monkeypatch):
    """Settings, the data's bytes and names, code, and versions of libraries."""
    code = [Path("code.py")]
    found = {key_of({"epochs": 1}, ["data"], code)}
    found.add(key_of({"epochs": 2}, ["data"], code))
    found.add(key_of({"epochs": 1}, [], code))
    found.add(key_of({"epochs": 1}, ["other"], code))
    found.add(key_of({"epochs": 1}, ["data", "data"], code))
    found.add(key_of({"epochs": 1}, ["data"], []))
    Path("data/0.parquet").rename("data/1.parquet")
    found.add(key_of({"epochs": 1}, ["data"], code))
    monkeypatch.setattr(fingerprint, "version", lambda library: f"another {library}")
    found.add(key_of({"epochs": 1}, ["data"], code))
    Path("code.py").write_text("import numpy as np\n", encoding="utf-8")
    found.add(key_of({"epochs": 1}, ["data"], code))
    assert len(found) == 9


def test_the_key_does_not_depend_on_where_data_lies_or_when_it_was_written(files):
    """Runs of two names may have equal files."""
    first = key_of({}, ["data"], [])
    Path("data/0.parquet").touch()
    assert key_of({}, ["data"], []) == first
    assert key_of({}, ["same"], []) == first


def test_the_code_of_rooms_is_all_of_their_files_and_the_network_s():
    """Those of the rooms below them as well."""
    names = {path.relative_to(fingerprint.STAGES).as_posix() for path in code_of("own_cnn", "learning")}
    assert {"networks/own_cnn.py", "learning/training.py", "learning/kernels/compiled.py"} <= names
    assert not names & {"networks/resnet50.py", "support/files.py"}


def test_the_libraries_are_those_that_the_code_imports(tmp_path):
    """Also within a function; not the standard library, nor a line that only looks like an import."""
    (tmp_path / "code.py").write_text(
        '"""From\nfrom the start\n"""\nimport os\nimport numpy as np\ndef late():\n    from cv2 import resize\n',
        encoding="utf-8",
    )
    found = libraries_of([tmp_path / "code.py"])
    assert found == [f"cv2 {version('opencv-python-headless')}", f"numpy {version('numpy')}"]
