"""Weights that were trained elsewhere: what may be in a file, where it lies, and what is said of a bad one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stages.images.preparation import Preparation
from stages.networks.common.contract import IMAGENET, Normalisation, network_named
from stages.networks.common.weights import Metadata, save_weights
from stages.networks.pretrained.fetching import fetch_weights
from stages.networks.pretrained.starting_point import write_starting_point
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from tests.conftest import network_settings

FOLDER = Path("data/pretrained/resnet50")
resnet50 = network_named("resnet50")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)


@pytest.fixture(scope="module")
def given() -> dict[str, torch.Tensor]:
    """Weights for 9 classes."""
    torch.manual_seed(0)
    return resnet50.build(network_settings("resnet50"), 9, 64).state_dict()


def start(weights: str, **changes: object) -> None:
    """Write what the stage weights does."""
    Path("started").mkdir(exist_ok=True)
    write_starting_point(resnet50, network_settings("resnet50", weights=weights, **changes), Path("started"))


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_all_but_the_last_layer_is_taken(given, suffix):
    """A file trained for 9 classes serves any study."""
    path = FOLDER / f"given.{suffix}"
    save_file(given, path) if suffix == "safetensors" else torch.save(given, path)
    found = fetch_weights(resnet50, str(path))
    assert found.state.keys() == {name for name in given if not name.startswith("fc.")}
    assert all(torch.equal(found.state[name], given[name]) for name in found.state)
    assert (found.image_size, found.normalisation, found.source) == (None, IMAGENET, str(path))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"weight": print}, "cannot be read as weights alone"),
        ({"epoch": 3, "model": {"fc.bias": torch.zeros(3)}}, r"holds epoch, model instead of weights .*state_dict"),
        (b"nothing", "cannot be read as weights alone"),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_of_anything_else_is_refused(written, message, suffix):
    """A pickle that would execute is not opened; a checkpoint of more than weights says what to save."""
    path = FOLDER / f"it.{suffix}"
    path.write_bytes(written) if isinstance(written, bytes) else torch.save(written, path)
    with pytest.raises(UserError, match=message if suffix == "pth" else "cannot be read as weights alone"):
        fetch_weights(resnet50, str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "holds the weights of another network than resnet50.*the first is bn1.bias; 1 belong nowhere"),
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, r"its conv1.weight has shape \(64, 3, 3, 3\), here it has"),
    ],
)
def test_weights_that_do_not_fit_are_refused(given, changes, message):
    """Half-fitting weights would train, and mean nothing; nothing is left of them."""
    save_file({"blocks.0.weight": torch.zeros(3)} if changes is None else given | changes, FOLDER / "it.safetensors")
    with pytest.raises(UserError, match=message):
        start(f"{FOLDER}/it.safetensors")
    assert not Path("started/weights.safetensors").exists()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("birds.safetensors", r"copy it there, and write data/pretrained/resnet50/birds.safetensors"),
        ("data/pretrained/resnet50/../far.pth", "where DVC sees that it changes"),
        ("data/pretrained/resnet50/gone.pth", r"networks.resnet50.weights = .*gone.pth does not exist"),
        ("data/pretrained/resnet50/notes.txt", "is none of .safetensors, .pt, .pth"),
        ("IMAGENET22K", "choose IMAGENET1K_V1, IMAGENET1K_V2, none, or a file in data/pretrained/resnet50"),
    ],
)
def test_what_is_not_where_it_should_be_is_told_its_place(weights, message):
    """A change of weights must re-run what was trained from them, so they lie where DVC looks."""
    for path in ("birds.safetensors", "data/pretrained/far.pth", FOLDER / "notes.txt"):
        Path(path).touch()
    with pytest.raises(UserError, match=message):
        fetch_weights(resnet50, weights)


def test_weights_that_dvc_has_are_pulled(given):
    """A clone has but the note that `dvc add` has left."""
    file = FOLDER / "shared.safetensors"
    Path(f"{file}.dvc").touch()
    with pytest.raises(UserError, match=rf"weights = {file} is with DVC and not here yet: `dvc pull {file}.dvc`"):
        fetch_weights(resnet50, str(file))


def test_weights_that_cannot_be_downloaded_say_what_to_do_offline(monkeypatch):
    """The address, the file's place, and the way without."""
    monkeypatch.setenv("TORCH_HOME", "cache")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing listens
    with pytest.raises(UserError) as raised:
        fetch_weights(resnet50, "IMAGENET1K_V2")
    (line,) = raised.value.lines
    assert "cannot be had from https://download.pytorch.org/models/resnet50-11ad3fa6.pth" in line
    assert "place it as data/pretrained/resnet50/IMAGENET1K_V2.safetensors" in line


@pytest.mark.parametrize(
    ("input_size", "own", "expected"),
    [
        ("weights", True, 96),
        (64, True, 64),
        (224, False, 224),
        ("weights", False, "nobody knows"),
        (20, True, "needs 32"),
    ],
)
def test_images_have_the_size_that_is_asked_for(given, input_size, own, expected):
    """A number, or what a run of this project was trained on, with its normalisation; of others nobody knows."""
    path, odd = FOLDER / "birds.safetensors", Normalisation((1, 2, 3), (4, 5, 6))
    described = {"network": "resnet50", "settings": {}, "class_names": ["a", "b"], "image_size": 96, **odd._asdict()}
    save_weights(path, given, Metadata(preparation=Preparation(96), **described)) if own else save_file(given, path)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            start(str(path), input_size=input_size)
        return
    start(str(path), input_size=input_size)
    found = read_json("started/start.json")
    assert found["image_size"] == expected
    assert tuple(found["mean"]) == (odd if own else IMAGENET).mean
