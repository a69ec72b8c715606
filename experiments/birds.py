"""Caltech-UCSD Birds: what the study makes of them, and in which time.

    python -m experiments.birds data CUB_200_2011-128px.tgz
    python -m experiments.birds study CUB_200_2011-20classes.tgz CUB_200_2011-128px.tgz FOLDER

Both take an archive of all 200 classes in the layout of the published one; `study` takes one of the first 20 at full
size before it. `data` runs fetch, prepare and augment at 128 pixels in a temporary copy of the project; it prints
seconds and peak memory of each stage, and the numbers that are known to be right; where one is not, it fails. `study`
runs the published study, and more, on branches of a folder: see experiments/birds_study.py.
"""

import shutil
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from experiments.birds_study import study
from helpers.projects import ENVIRONMENT, copy_project, set_params
from helpers.timing import machine, peak_memory
from stages.images.shards import class_names, read_rows
from stages.reporting.markdown import table
from stages.runtime.files import read_csv

KNOWN = {
    "classes": 200,
    "training images (official)": 5994,
    "test images (official)": 5794,
    "images in both": 0,
    "exact pairs of copies, within a class of train": 1,
    "exact copies elsewhere": 0,
    "grey images": 8,
    "bad files": 0,
    "altered copies": 5994,
}


def main(command: str, *rest: str) -> None:
    """Measure what is asked for."""
    if command == "data" and len(rest) == 1:
        data(Path(rest[0]).resolve())
    elif command == "study" and len(rest) >= 3:
        twenty, every, folder = (Path(path).resolve() for path in rest[:3])
        study({"20": twenty, "200": every}, folder, *rest[3:])
    else:
        sys.exit("what is there: data ARCHIVE, and study ARCHIVE-OF-20 ARCHIVE-OF-200 FOLDER [BRANCH...]")


def data(archive: Path) -> None:
    """Run the stages that make the data, print what they took and found; fail where that is wrong."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_project(folder)
        (folder / "data/downloads").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(archive, folder / "data/downloads/CUB_200_2011.tgz")
        set_params(folder, dataset__source="cub_200_2011", dataset__classes="all", prepare__image_size=128)
        set_params(folder, dataset__cub_200_2011__checksum="none", augment__copies=1)
        print(machine())
        print(stages_table(folder))
        found = facts(folder)
    print(table(["", "found", "known"], [[name, str(found[name]), str(known)] for name, known in KNOWN.items()]))
    if found != KNOWN:
        sys.exit("not what is known of the archive")


def stages_table(folder: Path) -> str:
    """Run the stages; return what each took."""
    rows, total, highest = [], 0.0, 0
    for name in ("fetch", "prepare", "augment"):
        start = time.perf_counter()
        command = [sys.executable, "-m", f"stages.{name}"]
        with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT) as process, peak_memory(process.pid) as peak:
            if process.wait():
                sys.exit(f"{name} failed")
        taken = time.perf_counter() - start
        rows.append([name, f"{taken:.1f} s", f"{peak[0] / 1e6:,.0f} MB"])
        total, highest = total + taken, max(highest, peak[0])
    return table(["stage", "time", "peak memory"], [*rows, ["all", f"{total:.1f} s", f"{highest / 1e6:,.0f} MB"]])


def facts(folder: Path) -> dict[str, int]:
    """Return what the stages made of the archive, by the names in KNOWN."""
    with chdir(folder):
        raw = sorted(Path("data/raw").rglob("*.jpg"))
        original, validation, test = (
            {row.path for row in read_rows(f"data/{split}")} for split in ("original", "validation", "test")
        )
        training = original | validation
        names = [{Path(path).name for path in some} for some in (training, test)]
        exact = [row for row in read_csv("data/duplicates.csv") if row["kind"] == "exact"]
        pairs = [(Path(row["file"]), Path(row["same_as"])) for row in exact]
        within = [one for one, other in pairs if one.parent == other.parent and "train" in one.parts]
        dropped = sum(row["dropped"] == "True" for row in exact)
        altered = sum("#" in row.path for row in read_rows("data/augmented"))
        return {
            "classes": len(class_names("data/test")),
            "training images (official)": len(training) + dropped,
            "test images (official)": len(test),
            "images in both": len(names[0] & names[1]),
            "exact pairs of copies, within a class of train": len(within),
            "exact copies elsewhere": len(exact) - len(within),
            "grey images": sum(map(is_grey, raw)),
            "bad files": len(read_csv("data/skipped.csv")),
            "altered copies": altered + len(validation) + dropped,
        }


def is_grey(file: Path) -> bool:
    """Say whether an image is stored as grey alone; one more is grey in three equal channels."""
    with Image.open(file) as image:
        return image.mode == "L"


if __name__ == "__main__":
    main(*sys.argv[1:])
