"""The command classify: good photographs, bad ones and hostile ones, by a run or by a file of weights."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from helpers.projects import ROOT
from stages.commands import classify
from stages.networks.common.graph import METADATA
from stages.networks.common.weights import required_metadata
from stages.runtime.files import read_json, write_json

OWN, LITE = "own_cnn-default-original-1", "efficientnet_lite0-default-original-1"
JAYS = "data/pictures/jay"


def said(monkeypatch, capsys, *words: object) -> tuple[int, str, str]:
    """Call classify in this process; return its exit code and what it wrote."""
    monkeypatch.setattr(sys, "argv", ["classify", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        classify.main()
    written = capsys.readouterr()
    return ended.value.code, written.out, written.err


def answers(monkeypatch, capsys, *words: object) -> list[dict[str, object]]:
    code, out, err = said(monkeypatch, capsys, *words, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_each_form_says_the_same(at_study, monkeypatch, capsys):
    """Lines, CSV and JSON, of all files of a folder, in order; by the best run where none is named."""
    lines = said(monkeypatch, capsys, JAYS, "--top", 1, "--run", LITE)[1].splitlines()
    rows = list(csv.DictReader(io.StringIO(said(monkeypatch, capsys, JAYS, "--top", 1, "--csv")[1])))
    objects = answers(monkeypatch, capsys, JAYS)
    assert len(lines) == len(rows) == len(objects) == 12
    for line, row, answer in zip(lines, rows, objects, strict=True):
        path, name, probability = line.split("\t")
        assert (path, name) == (row["path"], row["class"]) == (answer["path"], answer["classes"][0]["name"])
        assert name == "jay"
        assert float(probability.rstrip(" %")) == pytest.approx(100 * float(row["probability"]), abs=0.051)


@pytest.mark.parametrize("name", [OWN, OWN.removesuffix("-1")])
def test_a_run_may_leave_out_its_seed(at_study, monkeypatch, capsys, name):
    """The one there is; and it is another than the best."""
    assert answers(monkeypatch, capsys, JAYS, "--run", name) == answers(monkeypatch, capsys, JAYS, "--run", OWN)
    assert answers(monkeypatch, capsys, JAYS, "--run", name) != answers(monkeypatch, capsys, JAYS)


def test_a_run_that_is_the_same_as_another_answers_as_that(study_copy, monkeypatch, capsys):
    """Where a search has kept the defaults."""
    same = {"same_as": OWN}
    write_json("data/trained/own_cnn-tuned-original-1/same_as.json", same)
    write_json("metrics/runs/own_cnn-tuned-original-1.json", same)
    expected = answers(monkeypatch, capsys, JAYS, "--run", OWN)
    assert answers(monkeypatch, capsys, JAYS, "--run", "own_cnn-tuned-original-1") == expected
    assert answers(monkeypatch, capsys, JAYS, "--run", "own_cnn-tuned-original") == expected
    shutil.rmtree("metrics/costs")
    for run in (LITE, OWN):
        write_json(f"metrics/runs/{run}.json", read_json(f"metrics/runs/{run}.json") | {"accuracy": float(run == OWN)})
    assert answers(monkeypatch, capsys, JAYS) == expected


def test_the_best_is_that_of_the_study_and_of_its_measure(study_copy, monkeypatch, capsys):
    """Of unequal classes the balanced accuracy decides; a run that left the study answers where it is named."""
    expected = {run: answers(monkeypatch, capsys, JAYS, "--run", run) for run in (OWN, LITE)}
    for run, accuracy, balanced in ((OWN, 0.9, 0.5), (LITE, 0.8, 0.7)):
        said = {"accuracy": accuracy, "balanced_accuracy": balanced, "ranked_by": "balanced_accuracy"}
        write_json(f"metrics/runs/{run}.json", read_json(f"metrics/runs/{run}.json") | said)
    assert answers(monkeypatch, capsys, JAYS) == expected[LITE]
    write_json("metrics/metrics.json", {"own_cnn": {"default": {"original": {"accuracy": 0.9}}}})
    assert answers(monkeypatch, capsys, JAYS) == expected[OWN]
    assert answers(monkeypatch, capsys, JAYS, "--run", LITE) == expected[LITE]


def test_names_that_a_terminal_has_no_letters_for_are_spelled(study_copy):
    """As in a container whose language is C: an answer is no traceback."""
    shutil.copy(next(Path(JAYS).iterdir()), "blåmes.png")
    words = [sys.executable, "-m", "stages.commands.classify", "blåmes.png", "--study", "."]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    lines, objects = (
        subprocess.run([*words, *form], check=True, capture_output=True, text=True, env=environment).stdout
        for form in ([], ["--json"])
    )
    assert lines.startswith("bl\\xe5mes.png\t")
    assert json.loads(objects)["path"] == "blåmes.png"


def test_bad_files_are_named_and_counted_while_others_are_answered(at_study, tmp_path, monkeypatch, capsys):
    """Each with its reason, and exit code 1."""
    good = next(Path("data/pictures/owl").iterdir()).resolve()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image", encoding="utf-8")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    Image.new("L", (50_000, 1)).save(tmp_path / "thin.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    names = ["empty.jpg", "text.jpg", "cut.png", "thin.png", "pipe.jpg", "round.jpg", "missing.jpg"]
    code, out, err = said(monkeypatch, capsys, *(tmp_path / name for name in names), good)
    assert code == 1
    assert [Path(line.split("\t")[0]).name for line in out.splitlines()] == ["thin.png", good.name]
    reasons = {"empty.jpg": "is empty", "text.jpg": "not an image", "cut.png": "damaged", "pipe.jpg": "no file",
               "round.jpg": "no", "missing.jpg": "no such file"}  # fmt: skip
    for line, (name, reason) in zip(err.splitlines(), reasons.items(), strict=False):
        assert line.startswith(f"error: {tmp_path}/{name}: ")
        assert reason in line
    assert "error: 6 of 8 files could not be answered" in err


def test_nothing_to_answer_is_an_error_of_its_own(at_study, tmp_path, monkeypatch, capsys):
    """Exit code 2, for no words and for a folder without images."""
    assert said(monkeypatch, capsys)[0] == 2
    code, _, err = said(monkeypatch, capsys, tmp_path)
    assert (code, err) == (2, f"error: no images in {tmp_path}\n")


def test_an_empty_folder_beside_photographs_is_named(at_study, tmp_path, monkeypatch, capsys):
    """What is there is answered all the same."""
    code, out, err = said(monkeypatch, capsys, JAYS, tmp_path)
    assert (code, f"warning: no images in {tmp_path}\n" in err) == (0, True)
    assert "jay" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--csv"], "argument --csv: not allowed with argument --json"),
        (["--explain", f"{JAYS}/../jay"], "another folder than that of the photographs"),
    ],
)
def test_options_that_contradict_are_refused(at_study, monkeypatch, capsys, words, message):
    """Two forms at once; and explanations among the photographs, which the next call would answer as well."""
    code, _, err = said(monkeypatch, capsys, JAYS, *words)
    assert (code, message in err) == (2, True), err


def test_what_does_not_exist_is_said_with_what_does(at_study, tmp_path, monkeypatch, capsys):
    """Of runs, of weights, of a study."""
    photograph = next(Path(JAYS).iterdir()).resolve()
    asked = {
        ("--run", "own_cnn-tuned-original-1"): f"trained are: {LITE}, {OWN}",
        ("--weights", photograph): "is no network of this project's",
        ("--weights", "gone.safetensors"): "does not exist",
        ("--study", tmp_path): f"error: {tmp_path} is no study: it has no params.yaml\n",
    }
    for words, message in asked.items():
        code, _, err = said(monkeypatch, capsys, photograph, *words)
        assert (code, message in err, len(err.splitlines())) == (1, True, 1), err


def test_weights_that_the_scores_are_not_of_are_refused(study_copy, monkeypatch, capsys):
    """As after `git switch` without `dvc checkout`: another branch's birds are not answered by this one's names."""
    folder = Path(f"data/trained/{LITE}")
    digest = read_json(f"metrics/runs/{LITE}.json") | {"weights_sha256": "0" * 64}
    write_json(f"metrics/runs/{LITE}.json", digest)
    for words in ((JAYS, "--run", LITE), ("export", "--onnx", "it.onnx", "--run", LITE)):
        code, out, err = said(monkeypatch, capsys, *words)
        assert (code, out) == (1, "")
        assert f"{folder}/weights.safetensors is not what metrics/runs/{LITE}.json has scores of" in err
        assert "`dvc checkout` brings the one that belongs here" in err
    assert said(monkeypatch, capsys, JAYS, "--weights", folder / "weights.safetensors")[0] == 0


def test_settings_that_were_changed_and_not_run_change_no_answer(study_copy, monkeypatch, capsys):
    """The network's own preparation is in its file: params.yaml has no say, nor have the shards."""
    before = answers(monkeypatch, capsys, JAYS)
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("prepare:", "prepare:\n  fit: squash"), encoding="utf-8")
    for name in ("original", "validation", "test"):
        shutil.rmtree(f"data/{name}")
    assert answers(monkeypatch, capsys, JAYS) == before


def test_a_file_of_weights_answers_without_a_study(study, tmp_path, monkeypatch, capsys):
    """From any folder, as the run does."""
    monkeypatch.chdir(tmp_path)
    photograph = next((study / JAYS).iterdir())
    shutil.copy(study / f"data/trained/{LITE}/weights.safetensors", "birds.safetensors")
    (alone,) = answers(monkeypatch, capsys, photograph, "--weights", "birds.safetensors")
    (within,) = answers(monkeypatch, capsys, photograph, "--study", study)
    for one, other in zip(alone["classes"], within["classes"], strict=True):
        assert one == {"name": other["name"], "probability": pytest.approx(other["probability"], abs=1e-4)}


@pytest.mark.parametrize(("below", "expected"), [(-1e9, False), (None, None), (1e9, True)])
def test_an_image_of_little_evidence_is_none_of_these(study_copy, monkeypatch, capsys, below, expected):
    """Below the threshold that is in the file; only if asked."""
    file = Path("it.safetensors")
    trained = f"data/trained/{OWN}/weights.safetensors"
    described = required_metadata(trained).model_copy(update={"none_of_these_below": below})
    save_file(load_file(trained), file, {METADATA: described.as_json()})
    for words, none in (("--none-of-these",), expected), ((), None):
        found = answers(monkeypatch, capsys, JAYS, "--weights", file, *words)
        assert {each["none_of_these"] for each in found} == {none}


def test_an_explanation_is_an_image_for_each_answer(at_study, tmp_path, monkeypatch, capsys):
    """Large enough to look at; below it stand the three nearest training photographs, and their classes."""
    _, _, err = said(monkeypatch, capsys, "data/pictures/owl", "--explain", tmp_path / "seen", "--run", OWN)
    assert f"explained in {tmp_path / 'seen'}: " in err
    images = sorted((tmp_path / "seen").iterdir())
    assert len(images) == 12
    with Image.open(images[0]) as image:
        assert (image.format, image.size) == ("PNG", (384, 572))
        assert np.asarray(image)[:20].any(axis=(0, 2)).sum() > 30  # letters
        assert np.asarray(image)[532:].any(axis=(0, 2)).sum() > 30  # letters


def test_any_name_is_explained_and_what_the_system_refuses_is_said(at_study, tmp_path, monkeypatch, capsys):
    """A name as long as the system allows begins that of its picture; of a folder that cannot be, there is one line."""
    owl = tmp_path / f"{chr(0x1F989) * 62}.jpg"  # 252 bytes
    shutil.copyfile(next(Path("data/pictures/owl").iterdir()), owl)
    assert said(monkeypatch, capsys, owl, "--explain", tmp_path / "seen", "--run", OWN)[0] == 0
    assert [path.name for path in (tmp_path / "seen").iterdir()] == [f"00000-{chr(0x1F989) * 30}.png"]
    for folder, reason in (
        (tmp_path / ("a" * 300), "File name too long; give it a shorter name"),
        (owl / "seen", "Not a directory"),
    ):
        code, _, err = said(monkeypatch, capsys, owl, "--explain", folder, "--run", OWN)
        assert (code, err.splitlines()[-1].endswith(reason), "Traceback" in err) == (1, True, False), err


@pytest.mark.parametrize(
    ("words", "imports_torch"),
    [(["--help"], False), ([f"{JAYS}/000.png"], False), ([f"{JAYS}/000.png", "--explain", "seen"], True)],
)
def test_torch_is_imported_where_gradients_are_asked_for_alone(study_copy, words, imports_torch):
    """A person with a photograph does not wait for it."""
    lines = ["import sys, stages.commands.classify as it", f"sys.argv = ['classify', *{words!r}]", "try: it.main()"]
    lines += ["except SystemExit as end: assert not end.code, end.code"]
    lines += [f"assert ('torch' in sys.modules) == {imports_torch}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert ("usage: classify" if "--help" in words else "jay\t") in done.stdout


def test_the_script_is_installed():
    """`make install` puts it beside python; a pipe that closes is no error."""
    script = Path(sys.executable).parent / "classify"
    assert subprocess.run([script, "--help"], check=True, capture_output=True).stdout.startswith(b"usage: classify")
