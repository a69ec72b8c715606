"""One network gives one answer: by evaluate, classify, a copied file of weights, and as ONNX without the project."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.special import softmax

from stages.commands import classify
from stages.images.shards import preparation_of
from tests.small_study import embed_images, fit_head, prepare_images, write_random_weights, write_untrained

CLASSES = ["crow", "jay", "owl"]
SIZES = [(40, 30), (64, 64), (200, 133), (120, 333), (500, 375)]  # width and height
KINDS = ["jpg", "png", "gif", "grey16.png", "colour16.png", "colour16.tif", "clear.png"]
WITHOUT_THE_PROJECT = """
import json, sys
from pathlib import Path
sys.modules["stages"] = None
import onnxruntime
sys.path.insert(0, sys.argv[1])
from prepare_images import prepare_images
session = onnxruntime.InferenceSession(f"{sys.argv[1]}/network.onnx", providers=["CPUExecutionProvider"])
study = json.loads(session.get_modelmeta().custom_metadata_map["study"])
paths, found = sys.stdin.read().split("\\n"), []
for start in range(0, len(paths), 33):
    found += session.run(["probabilities"], {"images": prepare_images(paths[start : start + 33], study)})[0].tolist()
json.dump([study["class_names"], found], sys.stdout)
"""


def write_picture(path: Path, seed: int, label: int, size: tuple[int, int]) -> None:
    """Write clouds with a cast of red, green or blue, in the form that the name's ending says."""
    rng = np.random.default_rng(seed)
    clouds = cv2.resize(rng.integers(0, 200, (5, 5, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    rgb = cv2.add(clouds, rng.integers(0, 20, clouds.shape, np.uint8))
    rgb[..., label] = cv2.add(rgb[..., label], 40).reshape(rgb.shape[:2])
    path.parent.mkdir(parents=True, exist_ok=True)
    if "grey16" in path.name:  # 12 bits of 16
        Image.fromarray(rgb[..., label].astype(np.uint16) * 16).save(path)
    elif "colour16" in path.name:
        cv2.imwrite(str(path), rgb[..., ::-1].astype(np.uint16) * 16)
    elif "clear" in path.name:
        Image.fromarray(np.dstack([rgb, rng.integers(0, 256, rgb.shape[:2], np.uint8)])).save(path)
    else:
        Image.fromarray(rgb).save(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """100 photographs to test with, of five sizes and seven forms, and a few to train on."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, count in ("train", 30), ("val", 9), ("test", 100):
        for number in range(count):
            kind, label = KINDS[number % len(KINDS)], number % 3
            path = folder / split / CLASSES[label] / f"{split}{number:03}.{kind}"
            write_picture(path, 1000 * len(split) + number, label, SIZES[number // 3 % 5])
    return folder


@pytest.fixture(scope="module", params=["crop", "pad", "squash"])
def run(request, pictures, tmp_path_factory) -> str:
    """A study of a head alone whose images are enlarged, of a head alone, or of a network with all weights its own."""
    fit = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp(fit))
        patch.setenv("STUDY_WORKERS", "1")
        study = {"pictures": pictures, "prepare__fit": fit}
        if fit == "crop":
            prepare_images(networks={"efficientnet_lite0": {"input_size": 80}}, prepare__image_size=64, **study)
            embed_images("efficientnet_lite0")
            yield fit_head("efficientnet_lite0")
        elif fit == "pad":
            frozen = {"weights": write_random_weights("own_cnn"), "freeze": "backbone", "input_size": 64}
            prepare_images(networks={"own_cnn": frozen}, prepare__image_size=100, prepare__jpeg_quality=50, **study)
            embed_images("own_cnn")
            yield fit_head("own_cnn")
        else:
            prepare_images(networks={"own_cnn": {"flip_tta": True}}, prepare__image_size=64, **study)
            yield write_untrained("own_cnn")


def evaluated(run: str) -> tuple[list[str], np.ndarray]:
    """Return the paths and probabilities of the test images as evaluate kept them."""
    table = pq.read_table(f"data/predictions/{run}/predictions.parquet")
    temperature = json.loads(table.schema.metadata[b"study"])["temperature"]
    logits = np.array(table["logits"].to_pylist(), np.float64)
    return [f"data/raw/{path}" for path in table["path"].to_pylist()], softmax(logits / temperature, axis=1)


def classified(paths: list[str], capsys, monkeypatch, *words: object) -> np.ndarray:
    """Return what the command says of photographs: probabilities (n, classes)."""
    monkeypatch.setattr(sys, "argv", ["classify", *paths, "--json", "--top", "3", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        classify.main()
    written = capsys.readouterr()
    assert ended.value.code == 0, written.err
    answers = [json.loads(line) for line in written.out.splitlines()]
    assert [answer["path"] for answer in answers] == paths
    named = [{each["name"]: each["probability"] for each in answer["classes"]} for answer in answers]
    return np.array([[each[name] for name in CLASSES] for each in named])


def test_all_ways_to_an_answer_agree(run, capsys, monkeypatch, tmp_path):
    """The first class in 100 of 100, probabilities within 0.005; 16 bits, transparency and any shape included."""
    paths, expected = evaluated(run)
    assert len(paths) == 100
    assert preparation_of("data/test").white_level == 4095
    assert len(set(expected.argmax(1))) > 1
    shutil.copy(f"data/trained/{run}/weights.safetensors", tmp_path / "copied.safetensors")
    monkeypatch.setattr(sys, "argv", ["classify", "export", "--run", run, "--onnx", str(tmp_path / "network.onnx")])
    with pytest.raises(SystemExit):
        classify.main()
    capsys.readouterr()
    onnx.checker.check_model(onnx.load(tmp_path / "network.onnx"), full_check=True)
    names = "\n".join(str(Path(path).absolute()) for path in paths)
    alone = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_THE_PROJECT, str(tmp_path)],
        input=names, capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    names, exported = json.loads(alone.stdout)
    assert names == CLASSES
    ways = {
        "classify": classified(paths, capsys, monkeypatch, "--run", run),
        "a copied file of weights": classified(
            paths, capsys, monkeypatch, "--weights", tmp_path / "copied.safetensors"
        ),
        "ONNX": np.array(exported),
    }
    apart = {way: float(np.abs(found - expected).max()) for way, found in ways.items()}
    assert {way: int((found.argmax(1) == expected.argmax(1)).sum()) for way, found in ways.items()} == dict.fromkeys(
        ways, 100
    ), apart
    assert max(apart.values()) < 1e-4, apart
