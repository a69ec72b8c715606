"""Any labelled image classification set of torchvision.datasets, got by torchvision's own downloader.

Images that torchvision keeps as files are copied as they are; those it keeps as arrays become PNG files.
"""

import inspect
import shutil
import socket
import tarfile
import traceback
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.error import HTTPError

from PIL import Image
from pydantic import AfterValidator

from stages.datasets.common import downloads
from stages.datasets.common.class_names import folder_names
from stages.datasets.common.selection import Selection
from stages.runtime.config import Section
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, is_failed_write
from stages.runtime.parallel import parallel_map

Keywords = dict[str, str | bool]
FAILURES = (OSError, RuntimeError, ValueError, EOFError, HTTPException, tarfile.TarError, zipfile.BadZipFile)
TRANSIENT = ("corrupted", "Error downloading")  # what torchvision says after a cut; its other RuntimeErrors stay true
PNG_MODES = ("1", "L", "RGB", "RGBA", "P", "I;16")  # which PNG keeps as they are


class Splits(NamedTuple):
    """The arguments of the constructor that give the official training and test images."""

    train: tuple[Keywords, ...]
    test: tuple[Keywords, ...] = ()


def _splits(*train: str, test: str) -> Splits:
    return Splits(tuple({"split": name} for name in train), ({"split": test},))


# Where torchvision offers validation images beside training and test ones, they are training images: prepare
# chooses its own. Where the labels of the test set are secret, the validation set is what others report on.
KINDS = [
    (Splits(({"train": True},), ({"train": False},)), "CIFAR10 CIFAR100 FashionMNIST KMNIST MNIST QMNIST USPS"),
    (Splits(({},)), "Caltech101 Caltech256 EuroSAT SEMEION SUN397"),  # without an official test set
    (_splits("train", test="test"), "FER2013 Food101 GTSRB STL10 SVHN StanfordCars"),
    (_splits("train", test="val"), "CLEVRClassification ImageNet Imagenette"),
    (_splits("train", "val", test="test"), "DTD Flowers102 PCAM RenderedSST2"),
    (_splits("train", "valid", test="test"), "Country211"),
    (_splits("trainval", test="test"), "FGVCAircraft OxfordIIITPet"),
    (Splits(({"split": "balanced", "train": True},), ({"split": "balanced", "train": False},)), "EMNIST"),
    (Splits(({"split": "10fold"},)), "LFWPeople"),
    (Splits(({"background": True},)), "Omniglot"),  # its other part has other classes
    (Splits(({"split": "train-standard", "small": True},), ({"split": "val", "small": True},)), "Places365"),
]
SETS = dict(sorted((name, splits) for splits, names in KINDS for name in names.split()))


def _labelled(name: str) -> str:
    if name not in SETS:
        raise ValueError(f"must be a labelled image classification set of torchvision: {', '.join(SETS)}")
    return name


class Settings(Section):
    """params.yaml's section `dataset.torchvision`."""

    name: Annotated[str, AfterValidator(_labelled)] = "CIFAR10"


class Item(NamedTuple):
    """Where an image is: in which part of the set, and where there."""

    part: Any
    position: int


def fetch(settings: Settings, selection: Selection, seed: int, folder: Path) -> None:
    """Write the chosen classes' images to folder/train/<class>/ and folder/test/<class>/, or to folder/<class>/.

    The files of the set stay in data/downloads/torchvision/<name>, so that nothing is downloaded twice.
    Raises UserError where torchvision cannot make the set ready.
    """
    train, test = _parts(settings.name)
    groups = {"train": _by_label(train), "test": _by_label(test)} if test else {"": _by_label(train)}
    if not all(groups.values()):
        raise UserError(f"params.yaml: dataset.torchvision.name = {settings.name}: its test images have no labels here")
    names = _class_names(train[0], sorted({label for group in groups.values() for label in group}))
    trained = groups["train" if test else ""]
    labels = {names[label]: label for label in trained}
    copies: dict[Path, Item] = {}
    for name in selection.class_names({name: len(trained[label]) for name, label in labels.items()}):
        for split, group in groups.items():
            items = {folder / split / name / f"{item:06d}": where for item, where in group[labels[name]].items()}
            copies |= {path: items[path] for path in selection.first_images(items)}
    for parent in sorted({path.parent for path in copies}):
        parent.mkdir(parents=True)
    images = ((path, item.part[item.position][0]) for path, item in copies.items())
    for _ in parallel_map(_write, images, "writing", total=len(copies)):
        pass


def _parts(name: str) -> tuple[list[Any], list[Any]]:
    """Return the training and the test parts of a set, each a list of datasets, downloaded if need be."""
    root = downloads.DOWNLOADS / "torchvision" / name
    keywords = (*SETS[name].train, *SETS[name].test)
    if not root.exists():  # torchvision takes a half unpacked archive for a whole one
        with atomic_folder(root) as unfinished:
            for some in keywords:
                _downloaded(name, unfinished, root, some)
    parts = [_downloaded(name, root, root, some) for some in keywords]
    trained = len(SETS[name].train)
    return parts[:trained], parts[trained:]


def _downloaded(name: str, folder: Path, root: Path, keywords: Keywords) -> Any:
    """Return a dataset whose files are in `folder`; try again where a failure may pass."""
    for failures in range(1, downloads.MAX_TRIES + 1):
        try:
            with _read_timeout():
                return _dataset(name, folder, keywords)
        except FAILURES as error:
            if is_failed_write(error):
                raise
            if isinstance(error, HTTPError):
                error.close()  # it is the server's answer as well, with its connection
            if failures == downloads.MAX_TRIES or not _is_transient(error):
                raise UserError(*_error_lines(name, folder, root, error)) from None
        downloads.wait_before_retry(failures)
    raise AssertionError  # the loop returns or raises


def _dataset(name: str, folder: Path, keywords: Keywords) -> Any:
    from torchvision import datasets  # takes seconds to import

    kind = getattr(datasets, name)
    # of base classes as well: ImageNet hands on what it does not name
    known = {key for base in kind.__mro__[:-1] for key in inspect.signature(base.__init__).parameters}
    if "download" in known and name != "StanfordCars":  # its server is gone: only files placed by hand serve
        keywords = {**keywords, "download": True}
    if "loader" in known:
        return kind(folder, **keywords, loader=Path)  # the file itself rather than its pixels
    return kind(folder, **keywords)


@contextmanager
def _read_timeout() -> Iterator[None]:
    """Give torchvision's downloader, which would wait for ever, a timeout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(downloads.READ_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _is_transient(error: Exception) -> bool:
    if isinstance(error, HTTPError):
        return error.code in downloads.RETRIED_STATUSES
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in TRANSIENT)
    return isinstance(error, OSError | HTTPException) and not isinstance(error, FileNotFoundError)


def _error_lines(name: str, folder: Path, root: Path, error: Exception) -> tuple[str, str]:
    """Return what went wrong, and which file a person without a network has to place where."""
    reason = " ".join(str(error).replace(str(folder), str(root)).split()) or type(error).__name__
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    file = next((known for known in reversed(frames) if {"url", "fpath", "md5"} <= set(known)), None)
    url, place = f"the files of {name}", f"data/downloads/torchvision/{name}"
    if file:  # the arguments of torchvision's download_url
        checksum = f"md5:{file['md5']}" if file["md5"] else "none"
        url, place = file["url"], str(file["fpath"]).replace(str(folder), str(root))
        hint = downloads.manual_hint(Path(place), checksum)
    else:
        page = f"https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.{name}.html"
        hint = f"offline, or no download? place the set's files below {place} as {page} says, and run again"
    return f"params.yaml: dataset.torchvision.name = {name}: torchvision cannot get {url}: {reason}", hint


def _by_label(parts: Iterable[Any]) -> dict[int, dict[int, Item]]:
    """Return where the images of each label are, by their number in all parts."""
    groups: dict[int, dict[int, Item]] = defaultdict(dict)
    number = 0
    for part in parts:
        for position in range(len(part)):
            image, label = part[position]
            if isinstance(image, Image.Image):
                image.close()
            if label is not None:  # some forms of FER2013 keep the labels of the test set secret
                groups[int(label)][number] = Item(part, position)
            number += 1
    return groups


def _class_names(part: Any, labels: list[int]) -> dict[int, str]:
    """Return a folder name for each label: what torchvision calls it, or its number."""
    attributes = (getattr(part, name, None) for name in ("classes", "categories", "class_to_idx"))
    titles = list(next((titles for titles in attributes if titles), []))
    titles = [title if isinstance(title, str) else title[0] for title in titles]  # ImageNet lists synonyms
    numbers = {label: f"{label:0{len(str(max(labels)))}d}" for label in labels}
    names = folder_names({numbers[label]: titles[label] if label < len(titles) else "" for label in labels})
    return {label: names[number] for label, number in numbers.items()}


def _write(item: tuple[Path, Path | Image.Image]) -> None:
    """Write an image at the given path, to which its suffix is added."""
    path, image = item
    if isinstance(image, Path):
        shutil.copyfile(image, path.with_name(path.name + image.suffix.lower()))
        return
    kept = image if image.mode in PNG_MODES else image.convert("RGB")
    kept.save(path.with_name(f"{path.name}.png"), "PNG")
