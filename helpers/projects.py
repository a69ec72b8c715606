"""Studies of their own for measurements and tests: copies of the project with other settings."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from stages.networks.common.contract import network_named

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = ("metrics", "dvc.lock", "tests")  # what a study that has not run lacks; and tests, which no study needs
COMPILED = "stages/kernels/__pycache__/*.nb[ci]"  # by Numba, for files of this age

# what a person's shell has: not what hides faults of __pycache__, nor what `make test` tells the makes it starts
REMOVED_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in REMOVED_VARIABLES}
ENVIRONMENT |= {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


def copy_project(folder: Path) -> None:
    """Copy the project's files, also those not committed yet, but for its results and tests; make it a repository.

    Kernels that are compiled already are copied as well: compiling them takes as long as the rest of a small study.
    """
    listed = run("git", "ls-files", "-co", "--exclude-standard", folder=ROOT).splitlines()
    compiled = [path.relative_to(ROOT).as_posix() for path in ROOT.glob(COMPILED)]
    for name in [*listed, *compiled]:
        if name.split("/")[0] not in NOT_COPIED and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    run("git", "init", "-q", "-b", "main", folder=folder)


def set_params(folder: Path, **values: object) -> None:
    """Change settings in a folder's params.yaml; a key's dots are written as two underscores."""
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        *above, last = key.split("__")
        section = params
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def source_settings(images: str, folder: Path, classes: int | str = 20) -> dict[str, object]:
    """Return the settings of a study's images: `synthetic`, a folder or archive of folders, or the birds' own archive.

    The birds' (.tgz, in the layout of CUB-200-2011) is put where the study in `folder` finds it downloaded.
    """
    if images == "synthetic":
        return {}
    if not images.endswith(".tgz"):
        whole = str(Path(images).resolve())
        return {"dataset__source": "folder", "dataset__classes": "all", "dataset__folder__path": whole}
    name = Path(images).name
    (folder / "data/downloads").mkdir(parents=True)
    shutil.copyfile(images, folder / "data/downloads" / name)
    birds = {"url": f"https://localhost/{name}", "checksum": "none", "crop_to_bounding_box": False}
    return {"dataset__source": "cub_200_2011", "dataset__classes": classes, "dataset__cub_200_2011": birds}


def run(*words: str, folder: Path) -> str:
    """Run a command that must succeed; return what it printed."""
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def write_weights(folder: Path, network: str = "own_cnn", seed: int = 1) -> dict[str, str]:
    """Write weights for own_cnn, or a copy of it, and give them to DVC; return settings that freeze its backbone."""
    import torch  # which takes seconds to import, and few need it
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    own_cnn = network_named("own_cnn")
    path = f"data/pretrained/{network}/random.safetensors"
    (folder / path).parent.mkdir(exist_ok=True)
    save_file(own_cnn.build(own_cnn.schema(), 2, 64).state_dict(), folder / path)
    run("dvc", "add", "-q", path, folder=folder)
    return {"weights": path, "freeze": "backbone"}
