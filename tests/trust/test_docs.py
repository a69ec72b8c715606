"""What README and docs tell people to type does what they say: line by line, in a small study of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from helpers.projects import ENVIRONMENT, ROOT, run
from tests.study import SEARCH, commit, new_study, restore

# What is followed elsewhere: pages whole, and lines by how they begin
PAGES_ELSEWHERE = {
    "docs/guides/published-study.md": "its images must be downloaded",
    "docs/guides/long-trainings-and-scale.md": "test_many_processes.py and test_shared_tuning.py",
}
LINES_ELSEWHERE = {
    "make test": "this is it",
    "git clone": "the study here is one",
    "git remote": "the study here has nowhere to push to",
    "make images": "test_makefile.py",
    "source ": "PATH leads to the environment already",
    **dict.fromkeys(
        ["dvc remote", 'git commit -m "Share', 'git add -A && git commit -m "Share', "dvc push", "git pull"],
        "test_sharing.py, with servers",
    ),
}
FOLLOWED = {  # lines, so that none is lost
    "README.md": 8,
    "docs/guides/classify-and-export.md": 8,
    "docs/guides/compare-studies.md": 16,
}
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(make|dvc|git|python|classify|source|export|PET_\w+=\S+ (?:make|torchrun))\b")


def pages() -> list[str]:
    """Return README and the pages of docs, but for its log."""
    found = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))
    return ["README.md", *(page for page in found if not page.startswith("docs/log/"))]


def followed(page: str) -> list[str]:
    """Return the commands that are typed here, of a page's blocks that have no language, without their comments."""
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    lines = [line.strip() for language, block in blocks if not language for line in block.splitlines()]
    commands = [re.sub(r"\s+#.*$", "", line) for line in lines]
    return [line for line in commands if COMMAND.match(line) and not line.startswith(tuple(LINES_ELSEWHERE))]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study that has run, on main, and what the pages speak of: a photograph, and a folder of them."""
    folder = new_study(
        tmp_path_factory.mktemp("docs") / "study",
        study__networks=["own_cnn"],
        study__data=["augmented"],
        augment__hue=10,
        search=SEARCH,
        prepare__image_size=64,
    )
    (folder / ".venv").symlink_to(Path(sys.prefix))
    for lock in folder.glob("requirements*.lock"):
        os.utime(lock, (0, 0))  # older than what is installed: nothing is to be installed again
    run("make", "study", folder=folder)
    Image.open(folder / "mine/crow/000.png").save(folder / "photo.jpg")
    shutil.copytree(folder / "mine", folder / "folder")
    commit(folder)
    return folder


def type_in(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell does, with this study in the place of the page's."""
    author = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    words = ("bash", "-c", line.replace("~/birds", "."))
    return subprocess.run(words, cwd=folder, env=ENVIRONMENT | author, capture_output=True, text=True, check=False)


def test_a_second_make_says_that_nothing_ran(study):
    """And shows the results again, with where the log of the first one lies."""
    restore(study, "main")
    done = type_in("make study", study)
    assert "Nothing has changed since the last run: no stage ran." in done.stdout
    assert " stages: about " in done.stderr
    assert "\nreport: " in (study / ".dvc/tmp/study.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", FOLLOWED)
def test_each_line_of_a_page_can_be_typed(study, page):
    """In their order, from main; where a page says that a setting is changed, it is."""
    restore(study, "main")
    for line in followed(page):
        done = type_in(line, study)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if line.startswith("git switch -c"):
            params = (study / "params.yaml").read_text(encoding="utf-8")
            (study / "params.yaml").write_text(params.replace("copies: 1", "copies: 2"), encoding="utf-8")
    assert len(followed(page)) == FOLLOWED[page], followed(page)


def test_no_page_has_a_line_that_nobody_has_typed():
    """Each is followed here, or by the test that its reason names."""
    assert [page for page in pages() if followed(page) and page not in {*FOLLOWED, *PAGES_ELSEWHERE}] == []
