"""An error of the machine is not taken for one of a file, a server or an archive: what was met is what is said."""

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from stages.commands import compare
from stages.datasets import torchvision
from stages.datasets.common.archives import published_layout
from stages.images.reading import UnreadableImage, load
from stages.networks.common import image_set
from stages.networks.common.weights import metadata_of
from stages.networks.pretrained import fetching
from stages.runtime import parallel
from stages.runtime.errors import UserError
from stages.runtime.files import read_json

FULL = OSError(errno.ENOSPC, "No space left on device")


def raising(error: BaseException):
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


@pytest.fixture
def photograph(tmp_path) -> Path:
    """Write an image in which there is nothing wrong."""
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM])
def test_a_photograph_that_the_system_cannot_read_is_not_damaged(photograph, monkeypatch, number):
    """With `on_bad_image: skip` it would be left out of the study."""
    monkeypatch.setattr(Image, "open", raising(OSError(number, "refused")))
    with pytest.raises(OSError, match="refused"):
        load(photograph, 10_000)


def test_a_place_that_an_image_does_not_have_is_damage(photograph, monkeypatch):
    """Of what Pillow looks for behind the end of a file the system says that the argument is invalid."""
    monkeypatch.setattr(Image, "open", raising(OSError(errno.EINVAL, "Invalid argument")))
    with pytest.raises(UnreadableImage, match="damaged: "):
        load(photograph, 10_000)


def test_a_full_disk_is_no_archive_of_another_layout():
    """Whose remedy would be to fetch 1.2 GB again."""
    with pytest.raises(OSError, match="No space"), published_layout(Path("birds.tgz"), "CUB", "dataset.cub"):
        raise FULL


def test_a_full_disk_is_no_server_without_weights(monkeypatch):
    """Nor is it one without a set of images, which would be asked again and again."""
    known = SimpleNamespace(fetch=raising(FULL))
    network = SimpleNamespace(name="resnet50", known_weights=lambda: {"imagenet": known})
    with pytest.raises(OSError, match="No space"):
        fetching.fetch_weights(network, "imagenet")
    monkeypatch.setattr(torchvision, "_dataset", raising(FULL))
    with pytest.raises(OSError, match="No space"):
        torchvision._downloaded("CIFAR10", Path("x"), Path("x"), {})


@pytest.mark.parametrize(("error", "told"), [(FULL, UserError), (OSError(errno.EINVAL, "Invalid"), OSError)])
def test_only_a_full_disk_wants_room(project, monkeypatch, error, told):
    """Where images are too many for the memory."""
    (project / "data").mkdir()
    monkeypatch.setattr(image_set.os, "posix_fallocate", raising(error))
    with pytest.raises(told):
        image_set._mapped((2, 4, 4, 3))


def test_too_many_open_files_are_no_fault_of_shared_memory(monkeypatch):
    """The remedy is another: `ulimit -n`."""
    monkeypatch.setenv("STUDY_WORKERS", "2")
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", raising(OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(OSError, match="Too many open files"):
        list(parallel.parallel_map(abs, [1], "test"))


def test_weights_that_may_not_be_read_are_not_called_another_program_s(tmp_path, monkeypatch):
    """Whether they are the project's nobody knows yet."""
    (tmp_path / "weights.safetensors").touch()
    monkeypatch.setattr(Path, "open", raising(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        metadata_of(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("content", ["", '{"accuracy": ', '<<<<<<< HEAD\n{"a": 1}\n=======\n', b"\xff\xfe"])
def test_a_file_of_numbers_that_a_merge_has_left_its_marks_in_is_named(tmp_path, content):
    """Not by a traceback: which file it is, and what to do."""
    file = tmp_path / "own_cnn-default-original-1.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"own_cnn-default-original-1.json is damaged .*; remove it"):
        read_json(file)


def test_so_are_those_of_another_branch(project):
    """With the branch's name."""
    text = {"params.yaml": Path("params.yaml").read_text(encoding="utf-8")}
    with pytest.raises(UserError, match=r"theirs: metrics/runs/.*.json is damaged"):
        compare.study_of(lambda path: text.get(path, "<<<<<<< HEAD"), "theirs")
