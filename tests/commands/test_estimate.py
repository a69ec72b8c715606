"""Before it starts, a study says of what the machine has too little."""

import shutil

import pytest
from PIL import Image

from stages.commands import estimate
from stages.commands.estimate import (
    Needs,
    Size,
    images_in,
    largest_pixels,
    machine,
    needs,
    shortfalls,
    warnings_about,
    worker_shortfalls,
)
from tests.conftest import write_images

OWN_CNN = 1_700_000  # parameters
RESNET50 = 23_600_000
SMALL = Size(1000, 10_000_000, 64, 64, 1, 32, RESNET50, 8)


@pytest.mark.parametrize(
    ("size", "measured"),
    [  # gigabytes of training as README has them in bfloat16, and as measured in float32
        (Size(1000, 0, 64, 64, 1, 32, OWN_CNN, 1, 2), 1.3),
        (Size(1000, 0, 224, 224, 1, 32, OWN_CNN, 1, 2), 2.5),
        (Size(1000, 0, 64, 64, 1, 32, RESNET50, 1, 2), 2.0),
        (Size(1000, 0, 224, 224, 1, 32, RESNET50, 1, 2), 4.0),
        (Size(1000, 0, 64, 64, 1, 32, OWN_CNN, 1), 1.3),
        (Size(1000, 0, 224, 224, 1, 32, OWN_CNN, 1), 5.3),
        (Size(1000, 0, 64, 64, 1, 32, RESNET50, 1), 1.8),
    ],
)
def test_the_memory_is_that_of_measured_trainings(size, measured):
    """No less than a tenth below, and no more than twice as much: a warning that is wrong is not read."""
    assert 0.9 * measured < needs(size).memory / 1e9 < 2 * measured


def test_the_disk_holds_everything_twice():
    """In data/ and in DVC's cache; images grow with their number and copies, weights with the runs."""
    disk = needs(SMALL).disk
    assert needs(SMALL._replace(source_bytes=20_000_000)).disk - disk == 2 * 10_000_000
    assert needs(SMALL._replace(runs=9)).disk - disk == 2 * 4 * RESNET50
    assert needs(SMALL._replace(copies=2)).disk > disk


def test_a_machine_with_enough_is_not_spoken_of():
    """No line."""
    assert list(shortfalls(Needs(10**9, 10**9), Needs(10**9, 10**9))) == []


def test_what_is_short_is_named_with_what_to_lower():
    """Both at once, in gigabytes."""
    memory, disk = shortfalls(Needs(7 * 10**9, 40 * 10**9), Needs(4 * 10**9, 3 * 10**9))
    assert memory.startswith("memory: the largest step needs about 7.0 GB and 4.0 GB are free; lower batch_size")
    assert disk.startswith("disk: the study writes about 40.0 GB and 3.0 GB are free here; make room")


def test_a_machine_s_memory_is_what_is_left_of_it(project, monkeypatch):
    """Too little for a step, and it is said."""
    monkeypatch.setattr(estimate, "free_bytes", lambda: 1_000_000)
    assert machine(project).memory == 1_000_000
    assert [line.partition(":")[0] for line in warnings_about(SMALL)] == ["memory"]


def test_images_that_are_too_many_for_the_memory_lie_on_the_disk():
    """What is short is then the disk."""
    many = SMALL._replace(images=10_000_000)
    bytes_of_all = 10_000_000 * (1 + SMALL.copies) * SMALL.image_size**2 * 3
    assert needs(many).memory - needs(many, 8e9).memory == bytes_of_all
    assert needs(many, 8e9).disk - needs(many).disk == bytes_of_all


def test_what_the_study_already_holds_is_not_wanted_again(project, monkeypatch):
    """A second `make` does not warn of a disk that the first has filled."""
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 10))
    (project / "data").mkdir()
    (project / "data/file").write_bytes(b"12345")
    assert machine(project).disk == 15


def test_images_are_counted(tmp_path):
    """In folders; an archive's by its size."""
    write_images(tmp_path / "mine", {"crow": 2, "jay": 3})
    count, size = images_in(tmp_path / "mine")
    assert count == 5
    assert size == sum(file.stat().st_size for file in tmp_path.rglob("*.png"))
    (tmp_path / "birds.zip").write_bytes(bytes(1_000_000))
    assert images_in(tmp_path / "birds.zip") == (10, 1_000_000)


def test_images_are_found_and_read_as_by_the_stages(tmp_path, monkeypatch):
    """Behind links as well; up to the study's own limit of pixels, which may be above Pillow's."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    write_images(tmp_path / "elsewhere", {"crow": 2})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/crow").symlink_to(tmp_path / "elsewhere/crow")
    (tmp_path / "mine/.cache").write_bytes(bytes(9))
    assert images_in(tmp_path / "mine")[0] == 2
    assert largest_pixels(tmp_path / "mine", 1200) == 40 * 30
    assert largest_pixels(tmp_path / "mine", 1199) == 0
    assert largest_pixels(tmp_path / "birds.zip", 1200) == 0


def test_every_worker_may_hold_the_largest_image(tmp_path, monkeypatch):
    """Before it dies of that: a small file may have many pixels; what is no image does not count."""
    write_images(tmp_path, {"crow": 2})
    Image.new("RGB", (4000, 3000)).save(tmp_path / "crow/large.jpg")
    (tmp_path / "notes.txt").write_bytes(bytes(1_000_000))
    assert largest_pixels(tmp_path, 100_000_000) == 12_000_000
    monkeypatch.setenv("STUDY_WORKERS", "10")
    assert list(worker_shortfalls(12_000_000, 1.5e9)) == []
    (line,) = worker_shortfalls(12_000_000, 1.4e9)
    assert line.startswith("memory: 10 workers that read images of 12 megapixels at once need about 1.4 GB")
