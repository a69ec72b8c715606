"""What tests share: folders to work in, settings to change, pictures to work on."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def write_pictures(folder: Path, classes: dict[str, int], size: tuple[int, int] = (40, 30)) -> Path:
    """Write so many PNG files of coloured noise for each class, each class in a colour of its own."""
    for label, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = np.random.default_rng([label, number]).integers(0, 60, (size[1], size[0], 3), np.uint8)
            noise[..., label % 3] += 60 * (1 + label // 3 % 3)
            Image.fromarray(noise).save(folder / name / f"{number:03}.png")
    return folder


def set_params(folder: Path, **values: object) -> None:
    """Change settings in a folder's params.yaml; a key's dots are written as two underscores."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        *above, last = key.split("__")
        section = params
        for name in above:
            section = section[name]
        section[last] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty project folder with the default settings; stages run in this process, without workers."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STUDY_WORKERS", "1")
    return folder
