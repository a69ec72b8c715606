"""Images that are too many for the memory lie decoded in a file, and all else is as if they did not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.projects import ROOT
from stages.images.reading import UnreadableImage, encode
from stages.images.shards import Row, ShardWriter
from stages.networks.common.image_set import ImageSet, load_images
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.errors import UserError
from stages.training.loop import fit
from stages.training.state import Task
from tests.training.test_loop import PLAIN, TrainingConfig, bits, settings

CPU = torch.device("cpu")


def write_shards(folder: Path, count: int = 30, seed: int = 0) -> None:
    """Write noise of 64 pixels; every third row is a copy of the one before it."""
    rng = np.random.default_rng(seed)
    with ShardWriter(folder, ["crow", "jay", "owl"], ["hue"]) as writer:
        for number in range(count):
            encoded = encode(rng.integers(0, 255, (64, 64, 3), np.uint8), 95)
            writer.add(Row(encoded, f"{number}.jpg", number % 3, {"hue": 1.0} if number % 3 == 2 else None))


@pytest.fixture(autouse=True)
def _in_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_shards(Path("data/original"))
    write_shards(Path("data/validation"), 9, 1)


@pytest.fixture
def in_memory() -> ImageSet:
    """The images as they are with memory enough."""
    held = load_images("data/original", CPU)
    assert not held.on_disk
    return held


@pytest.fixture
def _little_memory(in_memory, monkeypatch):  # read before the memory is short
    monkeypatch.setenv("STUDY_MEMORY", "0.001")


def files() -> list[Path]:
    return sorted(Path("data/decoded").iterdir())


@pytest.mark.usefixtures("_little_memory")
def test_a_set_in_a_file_is_the_set_in_memory(in_memory):
    """Images, labels, paths, copies and batches, and of another size as well."""
    for _ in range(2):  # decoded, and found
        mapped = load_images("data/original", CPU)
        assert mapped.on_disk
        assert torch.equal(mapped.pixels, in_memory.pixels)
        assert torch.equal(mapped.labels, in_memory.labels)
        assert mapped.paths == in_memory.paths
        assert mapped.originals()[1].tolist() == in_memory.originals()[1].tolist()
        batches = [torch.tensor([3, 1]), torch.tensor([29]), torch.tensor([0, 0, 7])]
        for one, other in zip(mapped.chosen(batches), in_memory.chosen(batches), strict=True):
            assert torch.equal(one, other)
    assert load_images("data/original", CPU, 32).pixels.shape == (30, 32, 32, 3)
    assert len(files()) == 2


@pytest.mark.usefixtures("_little_memory")
def test_one_thread_fetches_the_next_batch():
    """Torch's own would be a team as large as the one that computes: the two take the cores from each other."""
    more_threads = """
import psutil, torch
from stages.networks.common.image_set import load_images
torch.ones(1 << 20).sum()  # now this thread's team is there
mapped = load_images("data/original", torch.device("cpu"))
before = psutil.Process().num_threads()
batches = mapped.chosen([torch.arange(30)] * 3)
next(batches)
print(psutil.Process().num_threads() - before)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "4"}  # only of this process are all known
    done = subprocess.run(
        (sys.executable, "-c", more_threads), env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 1  # 0 where one that read the images was still about


@pytest.mark.usefixtures("_little_memory")
def test_a_training_from_a_file_ends_in_the_same_bits(monkeypatch):
    """Whatever the memory, the weights are the same."""
    kept = []
    for memory in ("0.001", "1000"):
        monkeypatch.setenv("STUDY_MEMORY", memory)
        training, validation = (load_images(f"data/{name}", CPU) for name in ("original", "validation"))
        kept.append(
            bits(fit(Task(own_cnn, TrainingConfig(settings(epochs=2), PLAIN), training, validation, 1), "test").model)
        )
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("_little_memory")
def test_runs_share_a_file_until_the_shards_change():
    """The second finds what the first has decoded; the file of shards that are no more is removed."""
    load_images("data/original", CPU)
    (first,) = files()
    made = first.stat().st_mtime_ns
    load_images("data/original", CPU)
    assert files() == [first]
    assert first.stat().st_mtime_ns == made
    write_shards(Path("data/original"), seed=2)
    load_images("data/original", CPU)
    (second,) = files()
    assert second != first


@pytest.mark.usefixtures("_little_memory")
def test_what_is_not_finished_is_never_used(monkeypatch):
    """Of an image that cannot be decoded nothing stays; a file cut short is made again."""
    load_images("data/original", CPU)
    (file,) = files()
    os.truncate(file, 100)
    again = load_images("data/original", CPU)
    assert file.stat().st_size == again.pixels.nbytes
    file.unlink()
    with ShardWriter(Path("data/original"), ["crow"]) as writer:
        writer.add(Row(encode(np.zeros((64, 64, 3), np.uint8), 95), "good.jpg", 0))
        writer.add(Row(b"nothing", "bad.jpg", 0))
    with pytest.raises(UnreadableImage):
        load_images("data/original", CPU)
    assert files() == []


@pytest.mark.usefixtures("_little_memory")
def test_a_full_disk_is_said_in_words(monkeypatch):
    """Before anything is written: a map without a disk behind it ends the process."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"data/decoded takes 0.0 GB .*No space left on device; make room"):
        load_images("data/original", CPU)
    assert files() == []
