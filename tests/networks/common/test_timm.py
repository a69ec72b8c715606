"""Networks of timm by a file of three lines, their weights from a hub: a server on this machine that speaks as it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save, save_file

from helpers.projects import ROOT, set_params
from stages import configure, networks, weights
from stages.networks.common import contract, graph
from stages.networks.common.prediction import normalised
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.timm import Timm
from stages.runtime.errors import UserError
from stages.runtime.files import read_json
from tests.servers import Cut, serving

FILE = """\
from stages.networks.common.timm import Timm

network = Timm("test_efficientnet.r160_in1k")
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "timm/test_efficientnet.r160_in1k"
STARTED = Path("data/weights/tiny")


@pytest.fixture(scope="module")
def given() -> dict[str, torch.Tensor]:
    """What the hub has: random weights, by the names of timm."""
    torch.manual_seed(0)
    return timm.create_model("test_efficientnet").state_dict()


@pytest.fixture
def hub(project, given, monkeypatch):
    """A hub that serves them, and a study whose one network is the file of three lines."""
    file = project / "networks/tiny.py"
    file.parent.mkdir()
    file.write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(contract, "FOLDER", file.parent)
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(file.parent)])
    monkeypatch.delitem(sys.modules, "stages.networks.tiny", raising=False)
    set_params(project, study__networks=["tiny"], networks__tiny={})
    configure.main()
    body = save(given)
    names = [f"{REPOSITORY}/resolve/{revision}/model.safetensors" for revision in ("main", COMMIT)]
    with serving(dict.fromkeys(names, body)) as server:
        server.headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        use_hub(monkeypatch, server.address, project / "cache")
        yield server


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """Do in this process what HF_ENDPOINT and HF_HOME do in a new one, and waste no time between attempts."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)


def refused() -> str:
    with pytest.raises(UserError) as raised:
        weights.main("tiny")
    (line,) = raised.value.lines
    assert not STARTED.exists()
    return line


def test_three_lines_bring_a_network_with_its_own_size_and_normalisation(hub, given):
    """As timm has them; which commit of the weights came is recorded, and offline they are at hand from then on."""
    weights.main("tiny")
    start = read_json(STARTED / "start.json")
    assert (start["image_size"], start["head"], start["frozen"]) == (160, "classifier.", True)
    assert start["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert start["source"] == f"{REPOSITORY}@{COMMIT}"
    kept = load_file(STARTED / "weights.safetensors")
    assert kept.keys() == {name for name in given if not name.startswith("classifier.")}
    assert all(torch.equal(kept[name], given[name]) for name in kept)
    before = (STARTED / "weights.safetensors").read_bytes()
    hub.files.clear()
    weights.main("tiny")
    assert (STARTED / "weights.safetensors").read_bytes() == before


def test_a_connection_that_is_cut_is_tried_again_and_at_last_said_in_words(hub):
    """With the file, its place, and the way without; nothing half is kept, so that it works later."""
    hub.faults = [Cut(1000), *[Cut(0)] * 6]
    line = refused()
    assert f"networks.tiny.weights = hub cannot be had from {REPOSITORY}" in line
    assert "model.safetensors" in line
    assert "place it as data/pretrained/tiny/hub.safetensors, and set networks.tiny.weights to that path" in line
    hub.faults = [Cut(1000), Cut(50_000)]
    weights.main("tiny")
    assert (STARTED / "graph.onnx").exists()


def test_weights_of_another_digest_than_the_hub_says_are_refused(hub):
    """And not kept, so that the next attempt fetches them again."""
    right, wrong = hub.headers["ETag"], "0" * 64
    hub.headers |= {"ETag": f'"{wrong}"'}
    assert "has sha256 {}, not {}".format(right.strip('"'), wrong) in refused()
    hub.headers |= {"ETag": right}
    weights.main("tiny")


@pytest.mark.parametrize("how", ["switched off", "nobody listens", "not there"])
def test_without_a_hub_the_line_names_file_and_place(hub, how, monkeypatch):
    """However it is missing."""
    if how == "switched off":
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    elif how == "nobody listens":
        use_hub(monkeypatch, "http://127.0.0.1:9", Path("cache"))
    else:
        hub.files.clear()
    line = refused()
    assert "model.safetensors" in line
    assert "place it as data/pretrained/tiny/hub.safetensors" in line


def test_the_file_that_was_placed_by_hand_does_as_the_hub_does(hub, project, given):
    """Size and normalisation are timm's."""
    weights.main("tiny")
    before = (STARTED / "weights.safetensors").read_bytes(), read_json(STARTED / "start.json")
    file = Path("data/pretrained/tiny/hub.safetensors")
    file.parent.mkdir(parents=True)
    file.write_bytes(save(given))
    set_params(project, networks__tiny={"weights": str(file)})
    configure.main()
    weights.main("tiny")
    assert (STARTED / "weights.safetensors").read_bytes() == before[0]
    assert read_json(STARTED / "start.json") == before[1] | {"weights": str(file), "source": str(file)}


def test_a_name_that_timm_does_not_know_is_said_with_the_file(hub, project):
    """Which is where to mend it."""
    (project / "networks/tiny.py").write_text(FILE.replace("test_efficientnet", "tst_efficientnet"), encoding="utf-8")
    del sys.modules["stages.networks.tiny"]
    assert refused() == "stages/networks/tiny.py: timm knows no network 'tst_efficientnet.r160_in1k'"


def test_the_hub_is_the_one_that_its_variables_name(hub, project):
    """HF_ENDPOINT and HF_HOME, as all tools of the hub take them; pinned to a commit, as the file says."""
    pinned = FILE.replace('")', f'", revision="{COMMIT}")')
    (project / "networks/tiny.py").write_text(pinned, encoding="utf-8")
    code = (
        "from pathlib import Path\nfrom stages import networks, weights\nfrom stages.networks.common import contract\n"
        "networks.__path__.append('networks')\ncontract.FOLDER = Path('networks')\nweights.main('tiny')"
    )
    changes = {"HF_ENDPOINT": hub.address, "HF_HOME": str(project / "home"), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | changes, capture_output=True)
    assert read_json(STARTED / "start.json")["source"] == f"{REPOSITORY}@{COMMIT}"
    assert {target for target in (each.target for each in hub.requests) if "resolve" in target} == {
        f"/{REPOSITORY}/resolve/{COMMIT}/model.safetensors"
    }
    assert list((project / "home").rglob(f"snapshots/{COMMIT}/model.safetensors"))


@pytest.mark.parametrize("architecture", ["test_vit.r160_in1k", "test_convnext.r160_in1k", "test_nfnet.r160_in1k"])
def test_networks_of_other_kinds_answer_by_their_graph_as_by_torch(architecture, tmp_path):
    """Transformers, and convolutions without batch normalisation; images at the size that timm says."""
    network = Timm(architecture)
    torch.manual_seed(0)
    model = network.build(network.schema(), 3, network.weights_image_size).eval()
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / graph.WEIGHTS_FILE)
    images = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), np.uint8)
    with torch.inference_mode():
        expected = model(normalised(torch.from_numpy(images), network.normalisation)).numpy()
    unbound = graph.export_graph(model, network.head.rstrip("."), network.normalisation, 160)
    graph.save(graph.bind(unbound, tmp_path / graph.WEIGHTS_FILE), tmp_path)
    (found,) = OnnxRunner(tmp_path / "graph.onnx").run(images, "logits")
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
