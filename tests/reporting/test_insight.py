"""What the report and its page say of the images themselves."""

import json
import re
from pathlib import Path

import pytest

from helpers.projects import set_params
from stages import report
from stages.reporting.answer import doubtful_labels
from stages.reporting.insight import doubtful_share, gain_of, insight_sections, read_insight
from stages.reporting.insight_page import map_chart
from stages.runtime.files import read_json, write_json
from tests.records import write_data, write_insight, write_no_insight, write_run
from tests.reporting.test_page import PAGE, Content
from tests.test_report import RUNS

FOUND = Path("data/insight/insight.json")


@pytest.fixture
def looked_at(project, monkeypatch):
    """A study whose images the stage insight has looked at; the page lacks its scripts."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    for number, run in enumerate(RUNS):
        write_run(run, 20 + 2 * number)
    write_data()
    write_insight()
    return project


def test_the_report_says_what_was_found(looked_at):
    """How many labels are doubted, what twice the images bring, which scenes stand in two splits, what is confused."""
    report.main()
    text = " ".join(Path("metrics/report.md").read_text(encoding="utf-8").split())
    assert "- To try next: a look at 1 doubtful label; data/doubtful.csv lists them." in text
    assert doubtful_labels(2, "folder") == [
        "a look at 2 doubtful labels; `make labels` makes a table to decide on them"
    ]
    assert "1 of 2 training and validation images (50.0 %) and 0 of 2 test images (0.0 %)" in text
    assert "| crow/1.jpg | crow | jay | 1.0 % |" in text
    assert "**Twice the photographs would change the accuracy by +1.0 to +8.0 points.** A head" in text
    assert "alone, has 75.0 % with all images. With 80 to learn from, 80.0 % (76.0–83.0) is expected" in text
    assert "in percentage points: jay (+25.0). They would gain most from more." in text
    assert "| 10 | 55.0 % | 2 |" in text  # one curve's table does not name it in each row
    assert "1, of them 1 with a test image. Such a pair is a reason to look, not proof. Where so many show" in text
    assert "| crow | jay | 7 |" in text
    card = " ".join(Path("metrics/model-card.md").read_text(encoding="utf-8").split())
    assert "Doubtful labels: 1 of 2 training and validation images (50.0 %)" in card


def test_the_answer_says_what_more_photographs_would_bring(looked_at):
    """Where a class has few, and there is something to win."""
    for run in RUNS:
        write_run(run, 24)
    composition = read_json("data/composition.json")
    composition["splits"]["original"]["images"] = 80
    write_json("data/composition.json", composition)
    report.main()
    said = "40 to learn from are few; with twice as many, a head on frozen features would gain +1.0 to +8.0 points."
    assert said in " ".join(Path("metrics/report.md").read_text(encoding="utf-8").split())


def test_the_page_shows_the_images(looked_at):
    """The doubtful one with both labels, pairs side by side, and all on a map, with an image where it has one."""
    report.main()
    content = Content(PAGE.read_text(encoding="utf-8"))
    alts = [attributes["alt"] for tag, attributes in content.elements if tag == "img"]
    assert "given: crow (1\u00a0%); likelier: jay (90\u00a0%; training)" in alts
    assert [alt for alt in alts if alt in ("crow (test)", "jay (test)")] == ["crow (test)", "jay (test)"] * 2
    charts = [json.loads(each["data-chart"]) for _, each in content.elements if "data-chart" in each]
    (places,) = [chart["data"]["values"] for chart in charts if "doubtful" in chart["data"]["values"][0]]
    assert [(place["file"], place["doubtful"], "image" in place) for place in places] == [
        ("crow/2.jpg", False, True),
        ("jay/1.jpg", False, True),
        ("jay/2.jpg", False, False),
        ("crow/1.jpg", True, True),
    ]


def test_who_does_not_want_it_reads_nothing_of_it(looked_at):
    """Neither a heading nor a word in the answer or the model card."""
    write_data()
    report.main()
    told = Path("metrics/report.md").read_text(encoding="utf-8")
    assert not re.search(r"Doubtful|Twice|twice|scene|look alike", told)
    assert "doubted" not in Path("metrics/model-card.md").read_text(encoding="utf-8")
    assert 'id="map"' not in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("looked", [True, False])
def test_a_network_that_was_trained_on_parts_stands_beside_the_head(looked_at, looked):
    """In words, in the table and as a line of the chart; also where nothing else is asked of the images."""
    set_params(Path(), report__learning_curve=["own_cnn", "resnet50"])
    write_json("data/hyperparameters/own_cnn/learning_curve.json", read_json(FOUND)["curve"])
    write_json("data/hyperparameters/resnet50/learning_curve.json", {})  # too few images
    if not looked:
        write_no_insight()
    report.main()
    text = Path("metrics/report.md").read_text(encoding="utf-8")
    assert "by +1.0 to +8.0 points.** The own CNN, trained for this question alone, has 75.0 % with all" in text
    assert ("Doubtful" in text) == ("| the own CNN | 10 | 55.0 % | 2 |" in " ".join(text.split())) == looked
    content = Content(PAGE.read_text(encoding="utf-8"))
    charts = [json.loads(each["data-chart"]) for _, each in content.elements if "data-chart" in each]
    (curves,) = [chart["data"]["values"] for chart in charts if "learned" in chart["data"]["values"][0]]
    heads = ["a head on the features of resnet50-tuned-augmented-1"] if looked else []
    assert sorted({each["learned"] for each in curves}) == [*heads, "the own CNN"]


def test_features_that_learned_from_the_labels_are_called_so(looked_at):
    """A reader must know that training images are doubted too seldom then."""
    write_json(FOUND, read_json(FOUND) | {"frozen": False})
    sections = insight_sections(read_insight())
    assert "has learned from these labels" in sections["doubtful"][1]
    said = (
        "resnet50-tuned-augmented-1 has learned from all of these images, so that its head needs few: the curve is too"
    )
    assert (
        f"{said} flat. `report.learning_curve: [resnet50]` trains it on parts of them instead."
        in sections["more-images"]
    )
    report.main()
    answer = " ".join(Path("metrics/report.md").read_text(encoding="utf-8").partition("## Results")[0].split())
    assert answer.index("doubtful label") > answer.index("`study.seeds")
    assert "would gain" not in answer


def test_too_few_images_have_no_curve(looked_at):
    """It is said, and the answer names no number; a set without pairs or confusion has no such section."""
    scenes = {"pairs": 0, "with_test": 0, "shown": []}
    write_json(FOUND, read_json(FOUND) | {"curve": None, "same_scene": scenes, "confused": []})
    insight = read_insight()
    sections = insight_sections(insight)
    assert sections["more-images"][1:] == ["Some class has too few images to tell."]
    assert sections["same-scene"] == sections["confused"] == []
    assert gain_of(insight.found) == gain_of({}) == doubtful_share({}) == ""
    report.main()


@pytest.mark.parametrize(("classes", "legend"), [(2, True), (1000, False)])
def test_a_map_of_many_classes_has_no_legend(classes, legend):
    """A thousand names would take pages; hovering tells the class. In a legend a class can be picked."""
    names = [f"<b>{number}</b>" for number in range(classes)]
    places = [
        {"file": "a", "label": label, "split": "test", "x": 0.0, "y": 0.0, "doubtful": False, "image": None}
        for label in range(classes)
    ]
    chart = map_chart(places, names)
    assert ("legend" not in chart["encoding"]["color"]) == legend
    assert ("legend" in [param.get("bind") for param in chart["params"]]) == legend
    assert chart["data"]["values"][-1]["class"] == names[-1]


def test_published_findings_are_told_beside_it(looked_at):
    """Both are sections of one report."""
    set_params(Path(), report__published_study=True)
    report.main()
    assert "## Doubtful labels" in Path("metrics/report.md").read_text(encoding="utf-8")
