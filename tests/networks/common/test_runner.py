"""Trained networks answer images by their graph, or by torch, and say where parts do not belong together."""

import shutil
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from stages.images.shards import read_rows
from stages.networks.common import runner
from stages.networks.common.runner import OnnxRunner, decoded_batches, inference_runner, outputs_for, prefetched
from stages.networks.common.torch_runner import TorchRunner
from stages.prediction.onnx_export import write_onnx
from stages.runtime.errors import UserError
from tests.conftest import write_images
from tests.small_study import prepare_images, write_untrained


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Two networks that were not trained, of different weights."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("STUDY_WORKERS", "1")
        write_images(folder / "pictures", {"crow": 14, "jay": 14})
        prepare_images(folder / "pictures", {"own_cnn": {}}, prepare__image_size=70)
        for name, seed in ("other", 1), ("trained", 2):
            shutil.copytree(f"data/trained/{write_untrained('own_cnn', seed)}", name)
    return folder


@pytest.fixture
def at_study(study, monkeypatch) -> Path:
    monkeypatch.chdir(study)
    return study


def test_an_accelerator_gives_what_the_graph_gives(at_study, monkeypatch):
    """Features, logits and probabilities; there torch computes, on a CPU ONNX Runtime."""
    by_graph = inference_runner(Path("trained"))
    monkeypatch.setattr(runner, "has_accelerator", lambda: True)
    by_torch = inference_runner(Path("trained"))
    assert (type(by_graph), type(by_torch)) == (OnnxRunner, TorchRunner)
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    names = ("features", "logits", "probabilities")
    for one, other in zip(by_graph.run(images, *names), by_torch.run(images, *names), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_the_number_of_cores_changes_no_bit(at_study, monkeypatch, cores):
    """Whether each answers some of the images, or all of them an image; none at all are answered by nothing."""
    images = np.random.default_rng(0).integers(0, 256, (37, 64, 64, 3), np.uint8)
    expected = [inference_runner(Path("trained")).run(images[[at]], "logits")[0].tobytes() for at in range(37)]
    monkeypatch.setattr(runner, "available_cores", lambda: cores)
    graph = inference_runner(Path("trained"))
    for count in (1, 2, 37, 2):
        (logits,) = graph.run(images[:count], "logits")
        assert [row.tobytes() for row in logits[:, None]] == expected[:count]
    assert graph.run(images[:0], "logits")[0].shape == (0, 2)


def test_outputs_are_of_all_images_in_their_order(at_study):
    """The same images that an eye sees, resized to the network's input, whatever else is in a batch."""
    runner = inference_runner(Path("trained"))
    found, rows = outputs_for(runner, "data/original", 64), list(read_rows("data/original"))
    assert found.paths == [row.path for row in rows]
    assert found.labels.tolist() == [row.label for row in rows]
    assert len(rows) > 1
    for row, logits in zip(rows, found.logits, strict=True):
        ((_, image),) = decoded_batches([row], 64)
        np.testing.assert_allclose(runner.run(image, "logits")[0][0], logits, atol=1e-5)


@pytest.mark.parametrize("swapped", ["weights.safetensors", "graph.onnx"])
def test_weights_of_another_training_beside_a_graph_are_refused(at_study, tmp_path, swapped):
    """As after `git switch` without `dvc checkout`."""
    shutil.copytree("trained", tmp_path / "mixed")
    shutil.copy(f"other/{swapped}", tmp_path / "mixed")
    with pytest.raises(UserError, match="weights and graph are of different trainings; `dvc checkout`"):
        inference_runner(tmp_path / "mixed")


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_files_may_be_links_into_dvc_s_cache(at_study, tmp_path, link):
    """As DVC makes them with `cache.type: symlink` or hardlink: each file has another name, in another folder."""
    linked = tmp_path / "linked"
    linked.mkdir()
    for number, file in enumerate(Path("trained").iterdir()):
        cached = tmp_path / f"cache/{number:02}/{number:030}"
        cached.parent.mkdir(parents=True)
        shutil.copy(file, cached)
        link(linked / file.name, cached)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    expected = inference_runner(Path("trained")).run(images, "logits")[0]
    np.testing.assert_array_equal(inference_runner(linked).run(images, "logits")[0], expected)
    write_onnx(tmp_path / "it.onnx", linked)
    np.testing.assert_array_equal(OnnxRunner(onnx.load(tmp_path / "it.onnx")).run(images, "logits")[0], expected)


def test_weights_that_were_cut_off_are_not_exported(at_study, tmp_path):
    """With numbers from nowhere."""
    shutil.copytree("trained", tmp_path / "cut")
    file = tmp_path / "cut/weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"weights.safetensors is damaged; `dvc checkout`"):
        write_onnx(tmp_path / "it.onnx", tmp_path / "cut")


def test_the_next_images_are_read_while_some_are_answered(monkeypatch):
    """In order, no more than two batches ahead; a file that cannot be read is said when its turn comes."""
    monkeypatch.setattr(runner, "BATCH_SIZE", 3)
    seen: list[int] = []

    def read(item: int) -> np.ndarray:
        seen.append(item)
        if item == 10:
            raise UserError("no image")
        return np.full((2, 2, 3), item, np.uint8)

    batches = prefetched(range(12), read)
    items, images = next(batches)
    time.sleep(0.1)
    assert (items, images[:, 0, 0, 0].tolist()) == ([0, 1, 2], [0, 1, 2])
    assert sorted(seen) == list(range(9))
    assert [items for items, _ in (next(batches), next(batches))] == [[3, 4, 5], [6, 7, 8]]
    with pytest.raises(UserError, match="no image"):
        next(batches)


def test_a_folder_without_a_network_is_said_in_words(tmp_path):
    """Whether nothing is there, or not all."""
    with pytest.raises(UserError, match=r"weights.safetensors is no network of this project's"):
        inference_runner(tmp_path)
