"""A study whose images are not here goes on with data/raw, and keeps it."""

import subprocess
from pathlib import Path

import pytest

from helpers.projects import ENVIRONMENT, run, set_params
from tests.study import new_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """One that has fetched its images, from a folder that is gone since."""
    folder = new_study(tmp_path_factory.mktemp("missing") / "study", prepare__image_size=64)
    run("dvc", "repro", "-q", "prepare", folder=folder)
    (folder / "mine").rename(folder / "away")
    return folder


def checked(study: Path) -> subprocess.CompletedProcess[str]:
    words = ("python", "-m", "stages.commands.check")
    return subprocess.run(words, cwd=study, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_what_concerns_no_image_may_change(study):
    """DVC is told to pass over the missing folder, and runs prepare alone."""
    set_params(study, prepare__jpeg_quality=80)
    done = checked(study)
    assert done.stdout == "--allow-missing\n"
    assert "mine has no images here: the study goes on with data/raw" in done.stderr
    run("dvc", "repro", "-q", *done.stdout.split(), "prepare", folder=study)
    assert len(list((study / "data/raw").rglob("*.png"))) == 21


@pytest.mark.parametrize("change", ["dataset.max_images_per_class", "stages/datasets/folder.py"])
def test_what_takes_the_images_again_is_refused(study, change):
    """A setting of fetch's or its code: DVC would remove data/raw, and then find nothing to fetch."""
    params, code = study / "params.yaml", study / "stages/datasets/folder.py"
    before = {file: file.read_text(encoding="utf-8") for file in (params, code)}
    if change in str(code):
        code.write_text(f"{before[code]}# a comment\n", encoding="utf-8")
    else:
        set_params(study, dataset__max_images_per_class=5)
    done = checked(study)
    for file, text in before.items():
        file.write_text(text, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: mine has no images here, and {change} has changed, for which fetch must run again" in done.stderr
