"""What tests share: folders to work in, settings to change, images to work on; and which of them are slow."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from helpers.projects import ROOT, run
from stages.networks.common.contract import network_named

PARAMS = ROOT / "tests/params.yaml"
# DVC, servers, a browser, other Pythons, trainings: a file that imports one of these is slow
SLOW_IMPORTS = re.compile(
    r"^(import subprocess|from selenium|from helpers\.projects import .*\brun\b|from tests\.(study|servers|trust)"
    r"|from helpers\.(kills|timing|network_namespaces)|from helpers import"
    r"|from tests\.training\.toy_training|from stages\.training\.loop)",
    re.MULTILINE,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of files that start programs or train as slow; another slow test is marked where it stands."""
    slow = {path: SLOW_IMPORTS.search(path.read_text(encoding="utf-8")) for path in {item.path for item in items}}
    for item in items:
        if slow[item.path]:
            item.add_marker("slow")


def write_images(folder: Path, classes: dict[str, int], size: tuple[int, int] = (40, 30)) -> Path:
    """Write so many PNG files of coloured noise for each class, each class in a colour of its own."""
    for label, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = np.random.default_rng([label, number]).integers(0, 60, (size[1], size[0], 3), np.uint8)
            noise[..., label % 3] += 60 * (1 + label // 3 % 3)
            Image.fromarray(noise).save(folder / name / f"{number:03}.png")
    return folder


@contextmanager
def folders_1500_deep(folder: Path) -> Iterator[None]:
    """Put folders named d into each other, and a file into the last; remove them by what does not fail on them."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("deep.png", os.O_CREAT, dir_fd=at))
    os.close(at)
    try:
        yield
    finally:
        run("rm", "-rf", "d", folder=folder)


def network_settings(network: str, **changes: object) -> Any:
    """Return a network's settings: those of tests/params.yaml with changes."""
    settings = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    own = {name: value for name, value in settings["networks"].get(network, {}).items() if name != "search"}
    return network_named(network).schema(**settings["training"] | own | changes)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two networks that see the same images at different sizes; tests that change it work in a copy.

    own_cnn at 64 pixels has not been trained, of efficientnet_lite0 at 80 the head has been fitted to ImageNet's.
    """
    from tests import small_study  # torch, which takes seconds to import, and few tests need it

    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("STUDY_WORKERS", "1")
        write_images(folder / "data/pictures", dict.fromkeys(["crow", "jay", "owl"], 12), (120, 90))
        networks = {"own_cnn": {"input_size": 64}, "efficientnet_lite0": {"input_size": 80}}
        small_study.prepare_images(Path("data/pictures"), networks, prepare__image_size=96)
        small_study.write_untrained("own_cnn")
        small_study.embed_images("own_cnn")
        small_study.embed_images("efficientnet_lite0")
        small_study.fit_head("efficientnet_lite0")
    return folder


@pytest.fixture
def at_study(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder of that study, and change nothing there."""
    monkeypatch.chdir(study)
    return study


@pytest.fixture
def study_copy(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of that study."""
    shutil.copytree(study, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(autouse=True)
def pillows_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Pillow's limit of pixels as it is for the next test, whatever limit a test has images read with."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty project folder with the tests' settings; stages run in this process, without workers."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_bytes(PARAMS.read_bytes())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STUDY_WORKERS", "1")
    return folder
