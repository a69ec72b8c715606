"""A trained network's file holds all that prediction needs, and nothing that executes."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from stages.images.preparation import Preparation
from stages.networks.common.graph import METADATA
from stages.networks.common.prediction import add_flip_tta, raise_features_to_power
from stages.networks.common.weights import Metadata, metadata_of, required_metadata, restore, save_weights
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.errors import UserError
from tests.conftest import network_settings

CPU = torch.device("cpu")
SETTINGS = network_settings("own_cnn", weights="data/pretrained/own_cnn/gone.safetensors")
NAMES = ["crow", "blue jay", "Eichelhäher"]
METADATA_OF_IT = Metadata(
    network="own_cnn", settings=SETTINGS.model_dump(), class_names=NAMES, image_size=64, mean=(1, 2, 3),
    standard_deviation=(4, 5, 6), preparation=Preparation(80, "pad", 90, 4095), temperature=1.5,
)  # fmt: skip


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return own_cnn.build(SETTINGS, 3, 64).eval().to(memory_format=torch.channels_last)


@pytest.fixture
def file(model, tmp_path) -> Path:
    save_weights(tmp_path / "weights.safetensors", model.state_dict(), METADATA_OF_IT)
    return tmp_path / "weights.safetensors"


def random_images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)


def test_a_restored_network_predicts_the_same(model, file):
    """To the bit; and without the file of weights that its own training had started from."""
    images = random_images()
    with torch.inference_mode():
        assert torch.equal(restore(file, own_cnn, CPU)(images), model(images))
    assert metadata_of(file) == METADATA_OF_IT


@pytest.mark.parametrize("flip_tta", [False, True])
@pytest.mark.parametrize("power", [1, 0.5])
def test_how_it_is_asked_is_said_in_the_file(model, tmp_path, flip_tta, power):
    """Who restores it need not know whether mirror images are asked too, or what its head is given."""
    settings = SETTINGS.model_copy(update={"flip_tta": flip_tta}).model_dump()
    metadata = METADATA_OF_IT.model_copy(update={"settings": settings, "head_power": power})
    save_weights(tmp_path / "it", model.state_dict(), metadata)
    if power != 1:
        raise_features_to_power(model.classes, power)
    if flip_tta:
        add_flip_tta(model)
    images = random_images()
    with torch.inference_mode():
        assert torch.equal(restore(tmp_path / "it", own_cnn, CPU)(images), model(images))


def test_what_no_file_of_weights_holds_is_made_anew(file, monkeypatch):
    """A network of a user's own may be built with constants beside its weights."""
    build = own_cnn.build

    def with_constant(_, *asked):
        model = build(*asked)
        model.register_buffer("constant", torch.tensor(2.0), persistent=False)
        return model

    monkeypatch.setattr(type(own_cnn), "build", with_constant)
    assert restore(file, own_cnn, CPU).constant == 2


def test_another_program_finds_what_it_needs_in_the_file(file):
    """Names, size, normalisation and preparation are JSON in the file's metadata."""
    with safe_open(file, framework="pt") as opened:
        found = json.loads(opened.metadata()[METADATA])
    assert found["class_names"] == NAMES
    assert (found["mean"], found["standard_deviation"]) == ([1, 2, 3], [4, 5, 6])
    assert found["preparation"]["fit"] == "pad"
    assert found["settings"]["dropout"] == 0.34


def test_the_same_network_is_the_same_file(model, file, tmp_path):
    """Byte for byte, so that DVC sees no change where there is none."""
    save_weights(tmp_path / "two", model.state_dict(), METADATA_OF_IT)
    assert file.read_bytes() == (tmp_path / "two").read_bytes()


def test_weights_of_another_shape_are_refused_in_words(file):
    """In one line, where file and metadata are of two networks."""
    tensors = load_file(file)
    save_weights(file, tensors | {"classes.bias": torch.zeros(4)}, METADATA_OF_IT)
    with pytest.raises(UserError, match=r"weights.safetensors does not fit own_cnn: .*classes.bias"):
        restore(file, own_cnn, CPU)


def test_settings_that_the_network_does_not_have_are_refused_in_words(model, file):
    """Of a later version, say, or made up."""
    save_weights(file, model.state_dict(), METADATA_OF_IT.model_copy(update={"settings": {"surprise": 1}}))
    with pytest.raises(UserError, match="does not fit own_cnn: surprise: Extra inputs"):
        restore(file, own_cnn, CPU)


def test_a_file_that_was_cut_off_is_refused_in_words(file):
    """Behind its header, which looks well."""
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match="does not fit own_cnn: "):
        restore(file, own_cnn, CPU)


def header(text: str | bytes, length: int | None = None) -> bytes:
    content = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(content) if length is None else length) + content


def saying(**changes: object) -> bytes:
    """Return a file whose metadata says something else."""
    described = METADATA_OF_IT.model_dump() | changes
    described = {name: value for name, value in described.items() if value is not ...}
    return header(json.dumps({"__metadata__": {METADATA: json.dumps(described)}}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not begin as a safetensors file"),
        (b"\x05", "does not begin as a safetensors file"),
        (header("{}", 2**63), "does not begin as a safetensors file"),
        (header("{}", 99_999_999), "does not begin as a safetensors file"),
        (header("{nonsense"), "Expecting property name"),
        (header(b'{"\xff"}'), "codec can't decode"),
        (header("[" * 100_000), "recursion"),
        (header("[1, 2]"), "its header is no object"),
        (header('{"__metadata__": 3}'), "has no attribute"),
        (header("{}"), "does not say for which classes"),
        (header(json.dumps({"__metadata__": {METADATA: "no JSON"}})), "Expecting value"),
        (header(json.dumps({"__metadata__": {METADATA: "[1]"}})), "must be a mapping"),
        (saying(class_names=...), "class_names: Field required"),
        (saying(class_names=[str(number) for number in range(100_001)]), "class_names: List should have at most"),
        (saying(class_names=10**9), "class_names: Input should be a valid list"),
        (saying(image_size=-64), "image_size: Input should be greater than"),
        (saying(image_size=10**9), "image_size: Input should be less than"),
        (saying(temperature=float("nan")), "temperature: Input should be"),
        (saying(standard_deviation=[0, 1, 1]), r"standard_deviation\.0: Input should be greater than 0"),
        (saying(network="../../evil"), "network: String should match pattern"),
        (saying(preparation={"image_size": 10**9}), "preparation: "),
        (saying(surprise=1), "surprise: Extra inputs"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_one_line(content, reason, tmp_path):
    """Whatever a stranger has sent: no traceback, no hour of waiting, no memory filled."""
    file = tmp_path / "theirs.safetensors"
    file.write_bytes(content)
    with pytest.raises(UserError, match=reason) as raised:
        required_metadata(file)
    (line,) = raised.value.lines
    assert str(file) in line
    assert len(line) < 300
    assert "\n" not in line


@pytest.mark.parametrize("kind", ["missing", "pipe", "folder"])
def test_what_is_no_file_is_refused_at_once(kind, tmp_path):
    """At a pipe a reader would wait for ever."""
    path = tmp_path / "theirs.safetensors"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(UserError, match="does not exist, or is no file"):
        required_metadata(path)
