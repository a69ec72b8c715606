"""The birds of CUB-200-2011, from an archive of the true layout on a server of this machine."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from stages.datasets.common.selection import Selection
from stages.datasets.cub_200_2011 import Settings, fetch
from stages.runtime.errors import UserError
from tests.datasets.conftest import files_below, tar_gz
from tests.servers import serving

pytestmark = pytest.mark.usefixtures("downloading")

ALBATROSS, AUKLET, BUNTING = SPECIES = ("001.Black_footed_Albatross", "007.Parakeet_Auklet", "014.Indigo_Bunting")
# number in the lists: species, file, 1 for training; out of order, as nothing may depend on it
IMAGES = {
    5: (AUKLET, "Parakeet_Auklet_0001_7.jpg", 1),
    2: (ALBATROSS, "Black_Footed_Albatross_0002_55.jpg", 0),
    1: (ALBATROSS, "Black_Footed_Albatross_0046_18.jpg", 1),
    3: (ALBATROSS, "Black_Footed_Albatross_0001_99.jpg", 1),
    4: (AUKLET, "Parakeet_Auklet_0002_8.jpg", 0),
    6: (BUNTING, "Indigo_Bunting_0003_1.jpg", 1),
    7: (BUNTING, "Indigo_Bunting_0001_2.jpg", 0),
}
BOX = (8.5, 4.0, 15.0, 11.0)  # x, y, width, height: cuts pixels 8 and 23
WIDTH, HEIGHT = 40, 30


def jpeg(number):
    """A grey image, other for each number, with a coloured bird from (8, 4) to (24, 15)."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (20 * number,) * 3)
    image.paste((200, 30, 60), (8, 4, 24, 15))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=95, subsampling=0)
    return encoded.getvalue()


def layout(**changes):
    """The files of the archive, by path; `changes` replaces a list by its name without suffix."""
    top = "CUB_200_2011"
    lines = {
        "images": [f"{number} {species}/{file}" for number, (species, file, _) in IMAGES.items()],
        "image_class_labels": [f"{number} {SPECIES.index(value[0]) + 1}" for number, value in IMAGES.items()],
        "classes": [f"{number} {species}" for number, species in enumerate(SPECIES, start=1)],
        "train_test_split": [f"{number} {train}" for number, (_, _, train) in IMAGES.items()],
        "bounding_boxes": [f"{number} {' '.join(map(str, BOX))}" for number in IMAGES],
    } | changes
    files = {f"{top}/{name}.txt": "".join(f"{line}\n" for line in text).encode() for name, text in lines.items()}
    files |= {f"{top}/images/{species}/{file}": jpeg(number) for number, (species, file, _) in IMAGES.items()}
    return files | {"attributes.txt": b"1 has_bill_shape::curved_(up_or_down)\n", f"{top}/README": b"birds\n"}


ARCHIVE = tar_gz(layout())
CHECKSUM = f"sha256:{hashlib.sha256(ARCHIVE).hexdigest()}"


@pytest.fixture
def server():
    """A server that has the archive."""
    with serving({"CUB_200_2011.tgz": ARCHIVE}) as server:
        yield server


@pytest.fixture
def fetched(server, tmp_path):
    """Fetch, and return the written files by name."""

    def fetched(selection=None, crop=False, checksum=CHECKSUM):
        settings = Settings(url=server.url("CUB_200_2011.tgz?download=1"), checksum=checksum, crop_to_bounding_box=crop)
        raw = tmp_path / f"raw{len(list(tmp_path.iterdir()))}"
        raw.mkdir()
        fetch(settings, selection or Selection(), 1, raw)
        return files_below(raw)

    return fetched


EXPECTED = {
    f"{'train' if train else 'test'}/{species}/{file}": jpeg(number)
    for number, (species, file, train) in IMAGES.items()
}


def test_every_image_is_where_its_split_and_label_say(fetched):
    """Training and test images are those of the authors, under the authors' names, byte for byte."""
    assert fetched() == EXPECTED


def test_labels_come_from_the_lists(server, fetched):
    """The list of labels counts, not the folder that an image happens to lie in."""
    swapped = {AUKLET: BUNTING, BUNTING: AUKLET, ALBATROSS: ALBATROSS}
    labels = [f"{number} {SPECIES.index(swapped[species]) + 1}" for number, (species, _, _) in IMAGES.items()]
    server.files["CUB_200_2011.tgz"] = tar_gz(layout(image_class_labels=labels))
    by_file = {name.split("/")[2]: name.split("/")[1] for name in fetched(checksum="none")}
    assert by_file == {file: swapped[species] for species, file, _ in IMAGES.values()}


def test_fewer_classes_are_the_first_of_all(fetched, server):
    """The first N classes are a subset of all, and choosing them does not download again."""
    some, every = fetched(Selection(2)), fetched(Selection("all"))
    assert some == {name: content for name, content in every.items() if BUNTING not in name}
    assert len(server.requests) == 1


def test_a_cap_counts_in_training_and_test_each(fetched):
    """With one image per class, each split keeps its first in name order."""
    capped = fetched(Selection("all", 1))
    assert set(capped) == set(EXPECTED) - {f"train/{ALBATROSS}/Black_Footed_Albatross_0046_18.jpg"}


def test_cropping_keeps_the_bird_and_no_more(fetched):
    """A crop has all pixels that the box touches, and nothing of what lies around it."""
    cropped = fetched(crop=True)
    assert set(cropped) == set(EXPECTED)
    for content in cropped.values():
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image).astype(int)
            assert Image.Image.getexif(image) == {}
        assert pixels.shape == (11, 16, 3)
        assert abs(pixels - (200, 30, 60)).max() <= 12


def test_crops_keep_full_colour_resolution(fetched):
    """Chroma is not subsampled: a crop is small enough already."""
    with Image.open(io.BytesIO(next(iter(fetched(crop=True).values())))) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_a_box_beyond_the_edge_ends_at_the_edge(server, fetched):
    """No crop has black borders that the photograph does not have."""
    boxes = [f"{number} 30.0 20.0 100.0 100.0" for number in IMAGES]
    server.files["CUB_200_2011.tgz"] = tar_gz(layout(bounding_boxes=boxes))
    for content in fetched(crop=True, checksum="none").values():
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (10, 10)


def test_a_image_that_cannot_be_cropped_is_left_to_prepare(server, fetched):
    """A broken image is written as it came, so that prepare lists it with all others."""
    broken = f"CUB_200_2011/images/{BUNTING}/Indigo_Bunting_0001_2.jpg"
    server.files["CUB_200_2011.tgz"] = tar_gz(layout() | {broken: b"no image"})
    assert fetched(crop=True, checksum="none")[f"test/{BUNTING}/Indigo_Bunting_0001_2.jpg"] == b"no image"


@pytest.mark.parametrize(
    ("list_name", "lines"),
    [
        ("images", ["1 ../../../secret.jpg"]),
        ("images", ["1 /etc/passwd"]),
        ("images", ["1 007.Parakeet_Auklet/missing.jpg"]),
        ("classes", ["1 ../outside", "2 b", "3 c"]),
        ("train_test_split", ["1 2"]),
        ("bounding_boxes", [f"{number} 1.0 wide" for number in IMAGES]),
        ("image_class_labels", []),
    ],
)
def test_lists_that_make_no_sense_are_a_message(server, fetched, list_name, lines):
    """An archive whose lists are broken, or lead out of it, is refused by name; nothing is written."""
    server.files["CUB_200_2011.tgz"] = tar_gz(layout(**{list_name: lines}))
    with pytest.raises(UserError, match=r"data/downloads/CUB_200_2011.tgz: not laid out as CUB-200-2011 is"):
        fetched(checksum="none")


def test_a_missing_archive_is_named(server, fetched):
    """A 404 names the key and the file to place."""
    server.files.clear()
    with pytest.raises(UserError, match=r"dataset\.cub_200_2011\.url[\s\S]+404[\s\S]+data/downloads/CUB_200_2011.tgz"):
        fetched()
