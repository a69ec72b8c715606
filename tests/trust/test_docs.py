"""What README and docs tell people to type does what they say: line by line, in a small study of its own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from helpers.projects import ENVIRONMENT, ROOT, run
from tests.study import SEARCH, commit, new_study

# What is followed elsewhere: pages whole, and lines by how they begin
PAGES_ELSEWHERE = {
    "docs/birds.md": "its images must be downloaded; experiments/birds_study.py types it where they are at hand",
    "docs/experiments.md": "test_experiments.py and, of conflicts, ../test_repository.py",
    "docs/results.md": "experiments, which take hours; ../test_experiments.py has their parts",
    "docs/scale.md": "test_many_processes.py",
    "docs/tuning.md": "test_shared_tuning.py",
}
LINES_ELSEWHERE = {
    "make test": "this is it",
    "source ": "PATH leads to the environment already",
    "python -m benchmarks.": "as above",
    "python -m experiments.": "as above",
    **dict.fromkeys(["dvc remote", 'git commit -m "Share', "dvc push", "git pull"], "test_sharing.py, with servers"),
}
FOLLOWED = {
    "README.md": 8,
    "docs/looking.md": 7,
    "docs/transfer.md": 1,
    "docs/using.md": 10,
}  # lines, so that none is lost
RUN = "own_cnn-default-augmented-1"
COMMAND = re.compile(r"(make|dvc|git|python|classify|source|export)\b")


def lines(page: str) -> list[str]:
    """Return the commands of a page's blocks that have no language, without their comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    commands = [line for language, block in blocks if not language for line in block.splitlines()]
    started = [re.sub(r"\s+#.*$", "", line).strip() for line in commands]
    return [
        line for line in started if re.match(r"(make|dvc|git|python|classify|source|export|PET_\w+=\S+ make)\b", line)
    ]


def followed(page: str) -> list[str]:
    """Return the commands of a page that are typed here."""
    return [line for line in lines(page) if not line.startswith(tuple(LINES_ELSEWHERE))]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study that has run, on main, and what the pages speak of: a photograph, a folder of them, weights."""
    folder = new_study(
        tmp_path_factory.mktemp("docs") / "study",
        study__networks=["own_cnn"],
        study__data=["augmented"],
        search=SEARCH,
        prepare__image_size=64,
    )
    (folder / ".venv").symlink_to(Path(sys.prefix))
    for lock in folder.glob("requirements*.lock"):
        os.utime(lock, (0, 0))  # older than what is installed: nothing is to be installed again
    run("make", "study", folder=folder)
    Image.open(folder / "mine/crow/000.png").save(folder / "photo.jpg")
    shutil.copytree(folder / "mine", folder / "folder")
    shutil.copyfile(
        folder / "data/trained/own_cnn-default-augmented-1/weights.safetensors", folder / "best.safetensors"
    )
    commit(folder)
    return folder


def type_in(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell does, with the names of this study for those of the page."""
    line = re.sub(r"(own_cnn|resnet50)-\w+-\w+-1", RUN, line)
    for theirs, ours in {"https://github.com/you/study": ".", "~/birds": ".", "resnet50": "own_cnn"}.items():
        line = line.replace(theirs, ours)
    if line.startswith(("dvc artifacts get", "dvc get")):
        line += f" --force --out {shlex.quote(str(folder / 'got'))}"
    author = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ("bash", "-c", line), cwd=folder, env=ENVIRONMENT | author, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("page", FOLLOWED)
def test_each_line_of_a_page_can_be_typed(study, page):
    """In their order; where a page says that a setting is changed, it is."""
    typed = 0
    for line in followed(page):
        done = type_in(line, study)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if line.startswith("git switch -c"):
            params = (study / "params.yaml").read_text(encoding="utf-8")
            (study / "params.yaml").write_text(params.replace("copies: 1", "copies: 2"), encoding="utf-8")
        typed += 1
    assert typed == FOLLOWED[page], followed(page)


def test_no_page_has_a_line_that_nobody_has_typed():
    """Each is followed here, or by the test that its reason names."""
    pages = ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md")))]
    assert [page for page in pages if followed(page) and page not in {*FOLLOWED, *PAGES_ELSEWHERE}] == []
