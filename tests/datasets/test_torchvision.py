"""Sets of torchvision, from archives of their true layout on a server of this machine."""

import io
import json
import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from torchvision import datasets

from helpers.outputs import md5
from stages.datasets import torchvision
from stages.datasets.common import downloads
from stages.datasets.common.selection import Selection
from stages.datasets.torchvision import SETS, Settings, fetch
from stages.runtime.errors import UserError
from tests.datasets.conftest import files_below, tar_gz
from tests.servers import Cut, Stall, Status, serving

pytestmark = pytest.mark.usefixtures("downloading")

LABELS = {"data_batch_1": [2, 0, 1], "data_batch_2": [0, 2, 1, 0], "test_batch": [1, 2, 0]}
NAMES = ["airplane", "bird", "cat"]
ROOT = "data/downloads/torchvision"


def pixels(batch):
    """The images of a CIFAR batch, (n, 3, 32, 32) uint8."""
    seed = sum(batch.encode())
    return np.random.default_rng(seed).integers(0, 256, (len(LABELS[batch]), 3, 32, 32), dtype=np.uint8)


CIFAR = {
    batch: pickle.dumps({"data": pixels(batch).reshape(len(labels), -1), "labels": labels})
    for batch, labels in LABELS.items()
} | {"batches.meta": pickle.dumps({"label_names": NAMES})}
CIFAR_ARCHIVE = tar_gz({f"cifar-10-batches-py/{name}": content for name, content in CIFAR.items()})


@pytest.fixture
def cifar(monkeypatch):
    """A server that has a small CIFAR10, which torchvision is told of."""
    with serving({"cifar-10-python.tar.gz": CIFAR_ARCHIVE}) as server:
        listed = [[name, md5(content)] for name, content in CIFAR.items()]
        monkeypatch.setattr(datasets.CIFAR10, "url", server.url("cifar-10-python.tar.gz"))
        monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(CIFAR_ARCHIVE))
        monkeypatch.setattr(datasets.CIFAR10, "train_list", listed[:2])
        monkeypatch.setattr(datasets.CIFAR10, "test_list", listed[2:3])
        monkeypatch.setattr(
            datasets.CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names"} | {"md5": listed[3][1]}
        )
        yield server


def fetched(name, classes="all", cap=0):
    """Fetch, and return the written files by name."""
    raw = Path("raw")
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir()
    fetch(Settings(name=name), Selection(classes, cap), 1, raw)
    return files_below(raw)


def decoded(files):
    """The pixels of each file, as nested lists."""
    arrays = {}
    for name, content in files.items():
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "PNG"
            arrays[name] = np.asarray(image).tolist()
    return arrays


def expected_cifar():
    """What CIFAR10 must become: the number of an image counts through all training batches."""
    training = LABELS["data_batch_1"] + LABELS["data_batch_2"]
    arrays = np.concatenate([pixels("data_batch_1"), pixels("data_batch_2")])
    train = {f"train/{NAMES[label]}/{i:06d}.png": arrays[i] for i, label in enumerate(training)}
    test = {f"test/{NAMES[label]}/{i:06d}.png": pixels("test_batch")[i] for i, label in enumerate(LABELS["test_batch"])}
    return {name: array.transpose(1, 2, 0).tolist() for name, array in (train | test).items()}


def test_a_set_of_arrays_becomes_png_files_without_loss(cifar):
    """Every pixel of CIFAR10 is kept, in its official split, under the name of its class."""
    assert decoded(fetched("CIFAR10")) == expected_cifar()


def test_other_classes_need_no_other_download(cifar):
    """What was downloaded serves any choice of classes, and a second fetch gives the same bytes."""
    every = fetched("CIFAR10")
    asked = len(cifar.requests)
    assert fetched("CIFAR10") == every
    assert fetched("CIFAR10", ["airplane", "cat"]) == {name: data for name, data in every.items() if "bird" not in name}
    assert len(cifar.requests) == asked


def test_the_number_of_workers_changes_no_byte(cifar, monkeypatch):
    """One process and two write the same files."""
    alone = fetched("CIFAR10")
    monkeypatch.setenv("STUDY_WORKERS", "2")
    assert fetched("CIFAR10") == alone


def test_a_cap_counts_in_training_and_test_each(cifar):
    """With one image per class, each split keeps the first of each class."""
    assert set(fetched("CIFAR10", cap=1)) == {
        "train/airplane/000001.png", "train/bird/000002.png", "train/cat/000000.png",
        "test/airplane/000002.png", "test/bird/000000.png", "test/cat/000001.png",
    }  # fmt: skip


@pytest.fixture
def food(monkeypatch):
    """A server that has a small Food101, and what its images must become."""
    lists = {"train": {"waffles": [1, 7], "apple_pie": [3]}, "test": {"waffles": [2], "apple_pie": [5]}}
    files, expected = {}, {}
    for split, dishes in lists.items():
        listed = {dish: [f"{dish}/{number}" for number in numbers] for dish, numbers in dishes.items()}
        files[f"food-101/meta/{split}.json"] = json.dumps(listed).encode()
        names = [(dish, name) for dish, of_dish in listed.items() for name in of_dish]
        for number, (dish, name) in enumerate(names):
            files[f"food-101/images/{name}.jpg"] = name.encode()
            expected[f"{split}/{dish}/{number:06d}.jpg"] = name.encode()
    archive = tar_gz(files)
    with serving({"food-101.tar.gz": archive}) as server:
        monkeypatch.setattr(datasets.Food101, "_URL", server.url("food-101.tar.gz"))
        monkeypatch.setattr(datasets.Food101, "_MD5", md5(archive))
        yield expected


def test_a_set_of_files_is_copied_as_it_is(food):
    """Photographs are not decoded and encoded again: their files are the set's, byte for byte."""
    assert fetched("Food101") == food


def test_validation_images_of_the_set_are_training_images(monkeypatch):
    """Where a set has three splits, the test set stays as published and the rest is for training."""
    files, expected = {}, {}
    for split, place, names in (
        ("train", "train", ["dotted/a.jpg", "woven/b.jpg"]),
        ("val", "train", ["dotted/c.jpg", "woven/d.jpg"]),
        ("test", "test", ["dotted/e.jpg", "woven/f.jpg"]),
    ):
        files[f"dtd/labels/{split}1.txt"] = "".join(f"{name}\n" for name in names).encode()
        files |= {f"dtd/images/{name}": name.encode() for name in names}
        for number, name in enumerate(names, start=2 if split == "val" else 0):
            expected[f"{place}/{name.split('/')[0]}/{number:06d}.jpg"] = name.encode()
    archive = tar_gz(files)
    with serving({"dtd.tar.gz": archive}) as server:
        monkeypatch.setattr(datasets.DTD, "_URL", server.url("dtd.tar.gz"))
        monkeypatch.setattr(datasets.DTD, "_MD5", md5(archive))
        assert fetched("DTD") == expected


def test_a_set_without_split_and_names_is_one_pool_of_numbers(monkeypatch):
    """Where torchvision has no names, the label's number is the class; without a test set there is one pool."""
    labels = [1, 0, 1]
    lines = [" ".join(["0.0", "1.0"] * 128 + [str(int(label == digit)) for digit in range(10)]) for label in labels]
    data = "".join(f"{line}\n" for line in lines).encode()
    with serving({"semeion.data": data}) as server:
        monkeypatch.setattr(datasets.SEMEION, "url", server.url("semeion.data"))
        monkeypatch.setattr(datasets.SEMEION, "md5_checksum", md5(data))
        stripes = [[0, 255] * 8] * 16
        assert decoded(fetched("SEMEION")) == {f"{label}/{i:06d}.png": stripes for i, label in enumerate(labels)}


@pytest.mark.parametrize("fault", [Cut(500), Status(503), Stall(500)])
def test_a_set_survives_a_poor_line(cifar, monkeypatch, fault):
    """A cut, a busy server or one that stalls delays the set, and changes nothing."""
    monkeypatch.setattr(downloads, "READ_TIMEOUT", 0.1)
    cifar.faults = [None, fault]  # torchvision first asks where the URL leads
    assert decoded(fetched("CIFAR10")) == expected_cifar()


def test_without_a_network_the_message_says_what_to_place_where(monkeypatch):
    """Offline, a person learns the URL, the file, its place and its checksum; placed there, it is used."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/food-101.tar.gz"
    archive = tar_gz(
        {f"food-101/meta/{split}.json": b'{"a": ["a/1"], "b": ["b/1"]}' for split in ("train", "test")}
        | {f"food-101/images/{name}/1.jpg": b"photo" for name in "ab"}
    )
    monkeypatch.setattr(datasets.Food101, "_URL", url)
    monkeypatch.setattr(datasets.Food101, "_MD5", md5(archive))
    with pytest.raises(UserError) as problem:
        fetched("Food101")
    assert problem.value.lines == (
        f"params.yaml: dataset.torchvision.name = Food101: torchvision cannot get {url}:"
        " <urlopen error [Errno 111] Connection refused>",
        f"offline? bring the file from elsewhere (its md5 is {md5(archive)}),"
        f" place it as {ROOT}/Food101/food-101.tar.gz, and run again",
    )
    assert not Path(ROOT, "Food101").exists()
    Path(ROOT, "Food101").mkdir()
    Path(ROOT, "Food101", "food-101.tar.gz").write_bytes(archive)
    assert len(fetched("Food101")) == 4


def test_a_missing_set_is_asked_for_once(cifar):
    """A 404 does not pass with time."""
    cifar.files.clear()
    with pytest.raises(UserError, match="404"):
        fetched("CIFAR10")
    assert len(cifar.requests) == 1


def test_a_wrong_checksum_is_refused_and_removed(cifar, monkeypatch):
    """What is not the published set is not used, and nothing of it stays."""
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(UserError, match="corrupted"):
        fetched("CIFAR10")
    assert list(Path(ROOT).iterdir()) == []


def test_a_set_that_can_only_be_placed_by_hand_says_so():
    """Where there is no download, the message leads to the page that names the files."""
    with pytest.raises(UserError, match=f"place the set's files below {ROOT}/ImageNet as https://docs.pytorch.org"):
        fetched("ImageNet")


@pytest.mark.parametrize("name", ["CIFAR11", "VOCDetection", "Kinetics", "__name__"])
def test_what_is_no_labelled_set_is_refused_with_the_names_of_those_that_are(name):
    """A mistyped name, or a set for another task, is answered with the sets there are."""
    with pytest.raises(ValidationError, match="must be a labelled image classification set of torchvision: CIFAR10, "):
        Settings(name=name)


@pytest.mark.parametrize("name", SETS)
def test_torchvision_knows_every_set_and_split_by_that_name(name, tmp_path, monkeypatch):
    """Each set exists, and its splits are asked for in words that it understands."""
    monkeypatch.setattr(downloads, "MAX_TRIES", 1)
    kind = getattr(datasets, name)
    for keywords in (*SETS[name].train, *SETS[name].test):
        with pytest.raises((RuntimeError, FileNotFoundError)):  # no such files; a wrong word is another error
            kind(tmp_path, **keywords, **({"download": False} if name == "SEMEION" else {}))


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["a cat", "T-shirt/top"], {0: "a_cat", 1: "T-shirt_top"}),
        ([("tench", "Tinca tinca"), ("..",)], {0: "tench", 1: "1"}),
        ([], {0: "0", 1: "1"}),
        (["Crane", "crane"], {0: "Crane_0", 1: "crane_1"}),
    ],
)
def test_class_names_are_safe_folder_names(classes, names):
    """Names become folders of their own on every file system."""

    class Part:
        pass

    Part.classes = classes
    assert torchvision._class_names(Part, [0, 1]) == names
    assert torchvision._class_names(Part, [0, 11])[11] == "11"
