"""The command classify: good photographs, bad ones and hostile ones; and networks as ONNX."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from scipy.special import softmax

from helpers.projects import set_params
from stages import evaluate, fetch, prepare, train, tune
from stages.commands import classify
from stages.hardware import device
from stages.prediction.inputs import Preparation, files_in, image_in
from stages.prediction.onnx_export import OPSET, write_int8, write_onnx
from stages.prediction.output import printable
from tests.conftest import write_images

RUN = "own_cnn-default-original-1"
CLASSES = ["crow", "jay", "owl"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study of three classes with one run, trained and evaluated."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "params.yaml").write_bytes((Path(__file__).parent / "params.yaml").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("STUDY_WORKERS", "1")
        write_images(Path("data/pictures"), dict.fromkeys(CLASSES, 12))
        set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="data/pictures")
        set_params(folder, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
        set_params(folder, training__epochs=2, prepare__image_size=64)
        for stage, words in ((fetch, []), (prepare, []), (tune, ["own_cnn"])):
            stage.main(*words)
        for stage in (train, evaluate):
            stage.main(*RUN.split("-"))
    return folder


@pytest.fixture
def at_study(study, monkeypatch) -> Path:
    monkeypatch.chdir(study)
    return study


def said(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    """Call classify in this process; return its exit code and what it wrote."""
    monkeypatch.setattr(sys, "argv", ["classify", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        classify.main()
    written = capsys.readouterr()
    return ended.value.code, written.out, written.err


def evaluated() -> tuple[list[str], np.ndarray]:
    """Return the paths and probabilities of the test images as evaluate kept them."""
    table = pq.read_table(f"data/predictions/{RUN}/predictions.parquet")
    temperature = json.loads(table.schema.metadata[b"study"])["temperature"]
    logits = np.array(table["logits"].to_pylist(), np.float64)
    return table["path"].to_pylist(), softmax(logits / temperature, axis=1)


def test_a_photograph_is_answered_as_evaluate_answered_it(at_study, monkeypatch, capsys):
    """The same preparation, network and temperature: equal to the digits that are written."""
    paths, probabilities = evaluated()
    code, out, err = said(monkeypatch, capsys, *(f"data/raw/{path}" for path in paths), "--json", "--top", 3)
    assert (code, err) == (0, "")
    for path, expected, line in zip(paths, probabilities, out.splitlines(), strict=True):
        answer = json.loads(line)
        assert answer["path"] == f"data/raw/{path}"
        found = {each["name"]: each["probability"] for each in answer["classes"]}
        assert [found[name] for name in CLASSES] == pytest.approx(expected.tolist(), abs=2e-6)
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_fast_answers_are_those_of_bfloat16(at_study, monkeypatch, capsys):
    """Where the hardware is good at it; near the exact ones, and not the same."""
    monkeypatch.setattr(device, "precision", lambda: torch.bfloat16)
    paths, probabilities = evaluated()
    photographs = [f"data/raw/{path}" for path in paths]
    lines = said(monkeypatch, capsys, *photographs, "--json", "--top", 3, "--fast")[1].splitlines()
    answers = [{each["name"]: each["probability"] for each in json.loads(line)["classes"]} for line in lines]
    found = np.array([[answer[name] for name in CLASSES] for answer in answers])
    differences = np.abs(found - probabilities)
    assert 2e-6 < differences.max() < 0.05


def test_each_form_says_the_same(at_study, monkeypatch, capsys):
    """Lines, CSV and JSON, of all files of a folder, in order."""
    lines = said(monkeypatch, capsys, "data/pictures/jay", "--top", 1, "--run", RUN)[1].splitlines()
    rows = list(csv.DictReader(io.StringIO(said(monkeypatch, capsys, "data/pictures/jay", "--top", 1, "--csv")[1])))
    objects = [json.loads(line) for line in said(monkeypatch, capsys, "data/pictures/jay", "--json")[1].splitlines()]
    assert len(lines) == len(rows) == len(objects) == 12
    for line, row, answer in zip(lines, rows, objects, strict=True):
        path, name, probability = line.split("\t")
        assert (path, name) == (row["path"], row["class"]) == (answer["path"], answer["classes"][0]["name"])
        assert float(probability.rstrip(" %")) == pytest.approx(100 * float(row["probability"]), abs=0.051)


def test_bad_files_are_named_and_counted_while_others_are_answered(at_study, tmp_path, monkeypatch, capsys):
    """Each with its reason, and exit code 1."""
    good = next(Path("data/pictures/owl").iterdir()).resolve()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image", encoding="utf-8")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    (tmp_path / "folder.jpg").mkdir()
    Image.new("L", (50_000, 1)).save(tmp_path / "thin.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    names = ["empty.jpg", "text.jpg", "cut.png", "thin.png", "pipe.jpg", "round.jpg", "missing.jpg"]
    code, out, err = said(monkeypatch, capsys, *(tmp_path / name for name in names), good)
    assert code == 1
    assert [Path(line.split("\t")[0]).name for line in out.splitlines()] == ["thin.png", good.name]
    reasons = {
        "empty.jpg": "is empty",
        "text.jpg": "not an image",
        "pipe.jpg": "no file",
        "missing.jpg": "no such file",
    }
    for name, reason in reasons.items():
        assert f"{name}: " in err
        assert reason in err
    assert "error: 6 of 8 files could not be answered" in err


def test_nothing_to_answer_is_an_error_of_its_own(at_study, tmp_path, monkeypatch, capsys):
    """Exit code 2, for no words and for a folder without images."""
    assert said(monkeypatch, capsys)[0] == 2
    code, _, err = said(monkeypatch, capsys, tmp_path)
    assert (code, err) == (2, f"error: no images in {tmp_path}\n")


def test_of_a_folder_images_alone_are_taken_in_order(tmp_path):
    """Hidden ones are not; a file that is named twice is one."""
    for name in ("b/2.png", "b/1.JPG", "a.webp", "notes.txt", ".hidden/3.png", "b/.4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = files_in([str(tmp_path), str(tmp_path / "a.webp"), str(tmp_path / "notes.txt")])
    assert [Path(file).relative_to(tmp_path).as_posix() for file in found] == [
        "a.webp",
        "b/1.JPG",
        "b/2.png",
        "notes.txt",
    ]


def test_names_do_not_steer_a_terminal():
    """Line breaks and escapes are shown, other letters are as they were."""
    assert printable("a\n\x1b[31mb\t") == "a\\n\\x1b[31mb\\t"
    assert printable("Kohlmeise ü 🐦 שלום C:\\x") == "Kohlmeise ü 🐦 שלום C:\\x"


def test_what_does_not_exist_is_said_with_what_does(at_study, tmp_path, monkeypatch, capsys):
    """Of runs, of weights, of a study."""
    photograph = next(Path("data/pictures/owl").iterdir()).resolve()
    code, _, err = said(monkeypatch, capsys, photograph, "--run", "own_cnn-tuned-original-1")
    assert (code, f"trained are: {RUN}" in err) == (1, True)
    code, _, err = said(monkeypatch, capsys, photograph, "--weights", photograph)
    assert (code, "is no network of this project's" in err) == (1, True)
    code, _, err = said(monkeypatch, capsys, photograph, "--study", tmp_path)
    assert (code, err) == (1, f"error: {tmp_path} is no study: it has no params.yaml\n")


def test_a_file_of_weights_answers_without_a_study(study, tmp_path, monkeypatch, capsys):
    """From any folder; the order of classes is the run's, for a temperature changes none."""
    monkeypatch.chdir(tmp_path)
    photograph = next((study / "data/pictures/owl").iterdir())
    weights = study / f"data/trained/{RUN}/weights.safetensors"
    alone = json.loads(said(monkeypatch, capsys, photograph, "--weights", weights, "--json")[1])
    within = json.loads(said(monkeypatch, capsys, photograph, "--study", study, "--json")[1])
    assert [each["name"] for each in alone["classes"]] == [each["name"] for each in within["classes"]]


def test_an_improbable_image_is_none_of_these(at_study, monkeypatch, capsys):
    """Below the threshold that evaluate found; only if asked."""
    photograph = next(Path("data/pictures/owl").iterdir())
    record = classify.record_of(RUN)
    for below, expected in ((0.0, False), (1.1, True)):
        monkeypatch.setattr(classify, "record_of", lambda _, below=below: record | {"none_of_these_below": below})
        answer = json.loads(said(monkeypatch, capsys, photograph, "--none-of-these", "--json")[1])
        assert answer["none_of_these"] is expected
        assert json.loads(said(monkeypatch, capsys, photograph, "--json")[1])["none_of_these"] is False


def test_an_explanation_is_a_image_for_each_answer(at_study, tmp_path, monkeypatch, capsys):
    """Large enough to look at."""
    said(monkeypatch, capsys, "data/pictures/owl", "--explain", tmp_path / "seen")
    images = sorted((tmp_path / "seen").iterdir())
    assert len(images) == 12
    with Image.open(images[0]) as image:
        assert (image.format, image.size) == ("PNG", (384, 384))


def test_help_comes_without_torch():
    """A person who asks how it goes does not wait for what computes."""
    lines = ["import sys, stages.commands.classify as it", "sys.argv = ['classify', '--help']", "try: it.main()"]
    lines += ["except SystemExit: pass", "assert 'torch' not in sys.modules"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, capture_output=True)
    assert b"--none-of-these" in done.stdout


def test_the_script_is_installed():
    """`make install` puts it beside python; a pipe that closes is no error."""
    script = Path(sys.executable).parent / "classify"
    assert subprocess.run([script, "--help"], check=True, capture_output=True).stdout.startswith(b"usage: classify")


def prepared(count: int = 100) -> np.ndarray:
    """Return noise as prepared photographs (n, 64, 64, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)


def test_onnx_says_what_torch_says(at_study, tmp_path, monkeypatch, capsys):
    """Within 1e-4 over 100 images of the network's size, in batches of any number; and the checker finds no fault."""
    code, out, _ = said(monkeypatch, capsys, "export", "--onnx", tmp_path / "best.onnx")
    assert (code, f"3 classes, opset {OPSET}" in out) == (0, True)
    model = onnx.load(tmp_path / "best.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == OPSET
    session = onnxruntime.InferenceSession(tmp_path / "best.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == CLASSES
    classifier, _ = known(study=None)
    from stages.prediction.classifier import probabilities

    expected = probabilities(classifier, list(prepared()))
    for size in (1, 7, 100):
        parts = np.array_split(prepared(), range(size, 100, size))
        found = np.concatenate([session.run(None, {"photographs": part})[0] for part in parts])
        assert np.abs(found - expected).max() < 1e-4


def known(study: Path | None):
    """Return the study's network as the command line would."""
    asked = type("Asked", (), {"weights": None, "study": study, "run": RUN})()
    return classify.known(asked, none_of_these=False)


def test_onnx_prepares_a_photograph_nearly_as_the_study_does(at_study, tmp_path):
    """The middle square of a large photograph, wide or high, resized without aliasing: a few grey levels apart."""
    classifier, preparation = known(study=None)
    write_onnx(tmp_path / "it.onnx", classifier)
    session = onnxruntime.InferenceSession(tmp_path / "it.onnx", providers=["CPUExecutionProvider"])
    from stages.prediction.classifier import probabilities

    source = next(Path("data/pictures/owl").iterdir())
    for size in ((300, 200), (200, 333)):
        with Image.open(source) as image:
            large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        large.save(tmp_path / "large.png")
        studied = image_in(str(tmp_path / "large.png"), preparation, 64)
        (expected,) = probabilities(classifier, [studied])
        (found,) = session.run(None, {"photographs": np.asarray(large)[None]})[0]
        assert np.abs(found - expected).max() < 0.05


def test_int8_is_smaller_and_says_what_it_costs(at_study, tmp_path):
    """On the study's validation images, as measured."""
    classifier, _ = known(study=None)
    line = write_int8(tmp_path / "small.onnx", classifier)
    write_onnx(tmp_path / "large.onnx", classifier)
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * (tmp_path / "large.onnx").stat().st_size
    from stages.networks.common.image_set import load_images

    validation = load_images("data/validation", torch.device("cpu"))
    small = correct_of(tmp_path / "small.onnx", validation)
    assert f"validation images: {100 * small:.1f} %" in line


def correct_of(file: Path, images) -> float:
    """Return the share of images whose class a file of ONNX names correctly."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = session.run(None, {"photographs": images.pixels.numpy()})[0]
    return float((found.argmax(axis=1) == images.labels.numpy()).mean())


def test_preparation_without_a_study_has_defaults():
    """Those of params.yaml as it comes."""
    assert Preparation(64) == Preparation(64, "crop", 95, 100_000_000, 255)
