"""Stage weights: what a network starts from lies in one folder, whatever it came from."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from helpers.projects import set_params
from stages import configure, weights
from stages.networks.common import graph
from stages.networks.own_cnn import network as own_cnn
from stages.runtime.files import read_json
from tests.conftest import network_settings
from tests.small_study import write_random_weights

FOLDER = Path("data/weights/own_cnn")


def brought(project: Path, **settings: object) -> dict[str, bytes]:
    set_params(project, study__networks=["own_cnn"], networks__own_cnn=settings)
    configure.main()
    weights.main("own_cnn")
    return {path.name: path.read_bytes() for path in FOLDER.iterdir()}


@pytest.mark.parametrize("freeze", ["none", "backbone"])
def test_given_weights_come_without_their_head_and_a_frozen_backbone_with_its_graph(project, freeze):
    """What the graph gives are features alone; and the same bytes each time."""
    files = brought(project, weights=write_random_weights("own_cnn"), freeze=freeze)
    assert files.keys() == {"start.json", "weights.safetensors"} | ({"graph.onnx"} if freeze == "backbone" else set())
    expected = own_cnn.build(network_settings("own_cnn"), 2, 64).state_dict()
    assert load_file(FOLDER / "weights.safetensors").keys() == {n for n in expected if not n.startswith("classes.")}
    if freeze == "backbone":
        assert [output.name for output in graph.embedded(FOLDER).graph.output] == ["features"]
    assert brought(project, weights=write_random_weights("own_cnn"), freeze=freeze) == files


def test_of_random_weights_nothing_is_kept_but_what_images_they_take(project):
    """They are drawn from the seed of each training."""
    assert brought(project).keys() == {"start.json"}
    start = read_json(FOLDER / "start.json")
    assert (start["weights"], start["frozen"], start["image_size"]) == ("none", False, 64)


def test_other_weights_are_another_file_with_the_same_graph(project):
    """So that features are made again where weights change."""
    one, other = (
        brought(project, weights=write_random_weights("own_cnn", seed=seed), freeze="backbone") for seed in (1, 2)
    )
    assert [name for name in one if one[name] != other[name]] == ["weights.safetensors"]
