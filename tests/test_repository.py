"""What Git does with the project's files on other machines, and after a merge."""

import re
import subprocess
from pathlib import Path

import pytest

from helpers.projects import ENVIRONMENT, ROOT, copy_project, run
from tests.study import commit

LOCK = "schema: '2.0'\nstages:\n  tune:\n    cmd: tune\n    deps:\n    - path: a\n      md5: {}\n"


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project with a lock and metrics, committed."""
    folder = tmp_path / "project"
    copy_project(folder)
    (folder / "metrics").mkdir()
    (folder / "metrics/metrics.json").write_text('{"accuracy": 0}\n', encoding="utf-8")
    (folder / "dvc.lock").write_text(LOCK.format("00"), encoding="utf-8")
    commit(folder)
    return folder


def tracked(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in run("git", "ls-files", folder=folder).splitlines()}


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.eol=crlf", "core.autocrlf=input"])
def test_a_clone_has_the_same_bytes_whatever_git_does_with_line_ends(project, tmp_path, setting):
    """Else every stage would be stale there."""
    run("git", "clone", "-q", "-c", setting, str(project), str(tmp_path / "clone"), folder=tmp_path)
    files = tracked(tmp_path / "clone")
    assert files == tracked(project)
    assert [name for name, content in files.items() if b"\r\n" in content and not name.endswith(".png")] == []


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.parquet", "a.safetensors", "a.zip"])
def test_images_and_archives_are_never_taken_for_text(project, tmp_path, name):
    """Even where their first bytes look like it."""
    (project / name).write_bytes(b"all of it\nis text\r\n")
    commit(project)
    run("git", "clone", "-q", "-c", "core.autocrlf=true", str(project), str(tmp_path / "clone"), folder=tmp_path)
    assert (tmp_path / "clone" / name).read_bytes() == b"all of it\nis text\r\n"


def test_after_a_conflict_the_lock_is_one_that_dvc_can_read(project):
    """Both branches ran the study: Git says so, leaves this branch's lock and metrics whole, and weaves nothing."""
    for branch, digest in {"theirs": "11", "ours": "22"}.items():
        run("git", "checkout", "-qb", branch, "main", folder=project)
        (project / "dvc.lock").write_text(LOCK.format(digest), encoding="utf-8")
        (project / "metrics/metrics.json").write_text(f'{{"accuracy": {digest}}}\n', encoding="utf-8")
        commit(project)
    someone = ("-c", "user.name=t", "-c", "user.email=t@example.org")  # the machine may know of nobody
    merge = ["git", *someone, "merge", "theirs"]
    merged = subprocess.run(merge, cwd=project, env=ENVIRONMENT, capture_output=True, check=False)
    assert merged.returncode == 1
    unmerged = run("git", "diff", "--name-only", "--diff-filter=U", folder=project).splitlines()
    assert unmerged == ["dvc.lock", "metrics/metrics.json"]
    assert (project / "dvc.lock").read_text(encoding="utf-8") == LOCK.format("22")
    assert (project / "metrics/metrics.json").read_text(encoding="utf-8") == '{"accuracy": 22}\n'


def test_what_git_must_and_must_not_hold():
    """The lock of the default study is committed; nothing that names a package host or belongs to DVC is."""
    listed = run("git", "ls-files", folder=ROOT).split()
    assert {"dvc.lock", "data/.gitignore", ".dvc/config", "requirements.lock", "metrics/report.md"} <= set(listed)
    assert not [name for name in listed if name.endswith(("uv.lock", ".parquet", ".safetensors"))]
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in re.sub(r"#.*", "", lock.read_text(encoding="utf-8")), lock.name
