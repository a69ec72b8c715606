"""What tests of sources share: a folder to fetch into, an archive to fetch, and what was written."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.datasets.common import downloads


@pytest.fixture
def downloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, in this process, without a proxy, and without waiting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("STUDY_WORKERS", "1")
    monkeypatch.setattr(downloads, "FIRST_WAIT", 0.001)


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    """Return a .tar.gz of the files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files by their path from the folder on."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
