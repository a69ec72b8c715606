"""Tiny ImageNet: 200 classes of ImageNet at 64 x 64 pixels, 500 training and 50 validation images each.

The set of Stanford's course CS231n. Its test images have no labels: its validation images are our test set.
"""

import re
from collections import defaultdict
from pathlib import Path

from stages.datasets.common.archives import published_layout, unpacked
from stages.datasets.common.class_names import folder_names
from stages.datasets.common.downloads import Checksum, Url, download
from stages.datasets.common.selection import Selection
from stages.runtime.config import Section

TOP = "tiny-imagenet-200"
Groups = dict[tuple[str, str], list[Path]]  # the files of each split and WordNet id


class Settings(Section):
    """params.yaml's section `dataset.tiny_imagenet_200`."""

    url: Url = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    checksum: Checksum = "md5:90528d7ca1a48142e341f4ef8d21d0de"


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Write folder/train/<class>/<file> and folder/test/<class>/<file> for the chosen classes.

    Raises UserError where the archive cannot be had, or is not laid out as the course laid it out.
    """
    archive = download(settings.url, settings.checksum, "dataset.tiny_imagenet_200", selection.limits)
    with unpacked(archive, folder, selection.limits) as top:
        with published_layout(archive, "Tiny ImageNet", "dataset.tiny_imagenet_200"):
            ids, groups = _read(top / TOP)
        for name in selection.class_names({name: len(groups["train", key]) for name, key in ids.items()}):
            for split in ("train", "test"):
                (parent := folder / split / name).mkdir(parents=True)
                for file in selection.first_images(groups[split, ids[name]]):
                    file.rename(parent / file.name)


def _read(top: Path) -> tuple[dict[str, str], Groups]:
    """Return the WordNet id of each class by its name, and where the images are."""
    ids = (top / "wnids.txt").read_text(encoding="utf-8").split()
    words = _words(top / "words.txt")
    groups = _training(top / "train", ids) | _validation(top / "val")
    names = folder_names({key: words.get(key, key).split(",")[0] for key in ids})
    return {name: key for key, name in names.items()}, groups


def _words(file: Path) -> dict[str, str]:
    """Return the words for each WordNet id, e.g. "goldfish, Carassius auratus" for n01443537."""
    lines = (line.partition("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {key: words for key, _, words in lines if words.strip(" .")}


def _training(folder: Path, ids: list[str]) -> Groups:
    groups: Groups = defaultdict(list)
    for key in ids:
        if not re.fullmatch(r"n\d+", key):
            raise ValueError(f"{key!r} in wnids.txt is no WordNet id")
        groups["train", key] = list((folder / key / "images").iterdir())
    return groups


def _validation(folder: Path) -> Groups:
    groups: Groups = defaultdict(list)
    for line in (folder / "val_annotations.txt").read_text(encoding="utf-8").splitlines():
        name, key, *_ = line.split("\t")
        if Path(name).name != name or not (folder / "images" / name).is_file():
            raise ValueError(f"val/images has no {name!r}, which val_annotations.txt names")
        groups["test", key].append(folder / "images" / name)
    return groups
