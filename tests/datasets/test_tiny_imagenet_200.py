"""Tiny ImageNet, from an archive of the true layout on a server of this machine."""

import hashlib
import io
import zipfile

import pytest
from PIL import Image

from stages.datasets.common.selection import Selection
from stages.datasets.tiny_imagenet_200 import Settings, fetch
from stages.runtime.errors import UserError
from tests.datasets.conftest import files_below
from tests.servers import serving

pytestmark = pytest.mark.usefixtures("downloading")

WORDS = {
    "n01443537": "goldfish, Carassius auratus",
    "n02124075": "Egyptian cat",
    "n02012849": "crane",
    "n03126707": "crane",
    "n99999999": "entity, not in this set",
}
NAMES = {
    "n01443537": "goldfish",
    "n02124075": "Egyptian_cat",
    "n02012849": "crane_n02012849",
    "n03126707": "crane_n03126707",
}
TRAINING = 3  # images of each class
VALIDATION = ["n03126707", "n01443537", "n02124075", "n02012849", "n01443537"]  # the class of val_0, val_1, ...


def jpeg(name):
    """A small image, other for each name."""
    encoded = io.BytesIO()
    colour = tuple(hashlib.sha256(name.encode()).digest()[:3])
    Image.new("RGB", (8, 8), colour).save(encoded, "JPEG")
    return encoded.getvalue()


def layout():
    """The files of the archive, by path."""
    boxes = "".join(f"val_{number}.JPEG\t{key}\t0\t32\t44\t62\n" for number, key in enumerate(VALIDATION))
    files = {
        "wnids.txt": "".join(f"{key}\n" for key in sorted(NAMES, reverse=True)).encode(),
        "words.txt": "".join(f"{key}\t{words}\n" for key, words in WORDS.items()).encode(),
        "val/val_annotations.txt": boxes.encode(),
        "test/images/test_0.JPEG": jpeg("test_0"),
    }
    for key in NAMES:
        names = [f"{key}_{number}.JPEG" for number in range(TRAINING)]
        files |= {f"train/{key}/images/{name}": jpeg(name) for name in names}
        files[f"train/{key}/{key}_boxes.txt"] = "".join(f"{name}\t0\t10\t63\t58\n" for name in names).encode()
    files |= {f"val/images/val_{number}.JPEG": jpeg(f"val_{number}.JPEG") for number in range(len(VALIDATION))}
    return {f"tiny-imagenet-200/{name}": content for name, content in files.items()}


def packed(files):
    """A .zip of the files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(zipfile.ZipInfo(name), content)
    return archive.getvalue()


ARCHIVE = packed(layout())
CHECKSUM = f"sha256:{hashlib.sha256(ARCHIVE).hexdigest()}"
EXPECTED = {
    f"train/{name}/{key}_{number}.JPEG": jpeg(f"{key}_{number}.JPEG")
    for key, name in NAMES.items()
    for number in range(TRAINING)
} | {f"test/{NAMES[key]}/val_{number}.JPEG": jpeg(f"val_{number}.JPEG") for number, key in enumerate(VALIDATION)}


@pytest.fixture
def server():
    """A server that has the archive."""
    with serving({"tiny-imagenet-200.zip": ARCHIVE}) as server:
        yield server


@pytest.fixture
def fetched(server, tmp_path):
    """Fetch, and return the written files by name."""

    def fetched(selection=None, checksum=CHECKSUM):
        raw = tmp_path / f"raw{len(list(tmp_path.iterdir()))}"
        raw.mkdir()
        settings = Settings(url=server.url("tiny-imagenet-200.zip"), checksum=checksum)
        fetch(settings, selection or Selection(), 1, raw)
        return files_below(raw)

    return fetched


def test_every_image_is_in_its_split_and_readable_class(fetched):
    """Classes have names that people read, val is the test set, and what has no label is left out."""
    assert fetched() == EXPECTED


def test_classes_are_chosen_by_readable_name(fetched, server):
    """A list of names takes just those, and another list does not download again."""
    chosen = fetched(Selection(["goldfish", "Egyptian_cat"]))
    assert chosen == {name: content for name, content in EXPECTED.items() if "crane" not in name}
    assert fetched(Selection(2)) == {
        name: content for name, content in EXPECTED.items() if name.split("/")[1] in ("Egyptian_cat", "crane_n02012849")
    }
    assert len(server.requests) == 1


def test_a_cap_counts_in_training_and_test_each(fetched):
    """With one image per class, each split keeps its first in name order."""
    capped = fetched(Selection(["goldfish", "Egyptian_cat"], 1))
    assert set(capped) == {
        "train/goldfish/n01443537_0.JPEG",
        "train/Egyptian_cat/n02124075_0.JPEG",
        "test/goldfish/val_1.JPEG",
        "test/Egyptian_cat/val_2.JPEG",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wnids.txt", b"../../..\nn01443537\n"),
        ("wnids.txt", b"n01443537\nn00000000\n"),
        ("val/val_annotations.txt", b"../../../secret.jpg\tn01443537\n"),
        ("val/val_annotations.txt", b"val_99.JPEG\tn01443537\n"),
        ("val/val_annotations.txt", b"val_0.JPEG\n"),
        ("words.txt", b"\xff\xfe"),
    ],
)
def test_lists_that_make_no_sense_are_a_message(server, fetched, name, content):
    """An archive whose lists are broken, or lead out of it, is refused by name."""
    server.files["tiny-imagenet-200.zip"] = packed(layout() | {f"tiny-imagenet-200/{name}": content})
    with pytest.raises(UserError, match=r"data/downloads/tiny-imagenet-200.zip: not laid out as Tiny ImageNet is"):
        fetched(checksum="none")


def test_a_missing_archive_is_named(server, fetched):
    """A 404 names the key and the file to place."""
    server.files.clear()
    with pytest.raises(UserError, match=r"tiny_imagenet_200\.url[\s\S]+404[\s\S]+data/downloads/tiny-imagenet-200.zip"):
        fetched()
