"""The report's page holds what report.md says, and images."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stages import report
from stages.reporting.blocks import breakable, html
from stages.reporting.page_images import transform_caption
from stages.runtime.runs import Run
from tests.records import write_data, write_run, write_trials
from tests.test_report import RUNS

PAGE = Path("data/report/index.html")


class Content(HTMLParser):
    """The elements of a page and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text.replace("<wbr>", ""))  # where a line may break

    def handle_starttag(self, tag, attrs):
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        """Note a text."""
        self.words.append(data)

    def text(self) -> str:
        """Return all text, blanks alike."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def content(project, monkeypatch) -> Content:
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    for number, run in enumerate(RUNS):
        write_run(run, 20 + 2 * number, seconds=60.0 + number)
    write_data()
    report.main()
    return Content(PAGE.read_text(encoding="utf-8"))


def test_the_page_says_what_report_md_says(content):
    """The answer first, then every section that report.md has."""
    headings = re.findall(r"^## (.*)$", Path("metrics/report.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(heading in content.text() for heading in headings)
    sections = [attributes["id"] for tag, attributes in content.elements if tag == "section"]
    assert sections[:3] == ["answer", "results", "worth"]
    assert "the best of 8 runs, resnet50-tuned-augmented, has an accuracy" in content.text()


def test_images_say_what_they_are(content):
    """The best run's mistake with its heat map, and of hard classes mistakes alone; copies with what was drawn."""
    shown = [attributes for tag, attributes in content.elements if tag == "img"]
    crows = ["crow, taken for jay (90\u00a0%)", "crow"]  # the mistake, and a sample
    assert [each["alt"] for each in shown if each["alt"].startswith("crow")] == crows
    assert "crow/1.jpg" in content.text()
    assert "Files are named as in data/raw." in content.text()  # where val/ is a person's folder valid/
    assert "right 10\u00a0%, up 5\u00a0%, hue +10°, gamma 1.25, turned -15°" in [each["alt"] for each in shown]
    assert sum(each.get("class") == "map" for each in shown) == 1
    assert "The hardest classes" not in content.text()  # their images are named correctly
    assert all(each["src"].startswith(("data:image/jpeg;base64,", "data:image/png;base64,")) for each in shown)


def test_nothing_is_asked_of_a_network(content):
    """No element names an address outside the page, and the page itself forbids it."""
    policy = [attributes["content"] for tag, attributes in content.elements if "http-equiv" in attributes]
    assert policy[0].startswith("default-src 'none'; img-src data:;")
    addresses = [attributes.get(name) or "data:" for _, attributes in content.elements for name in ("src", "href")]
    assert all(address.startswith("data:") for address in addresses)


def test_the_same_records_give_the_same_bytes(content):
    """DVC would store another page for every run."""
    before = PAGE.read_bytes()
    report.main()
    assert PAGE.read_bytes() == before


def test_what_was_drawn_is_said_in_words():
    """Shifts in per cent, angles in degrees."""
    assert (
        transform_caption({"shift_x": -0.031, "gamma": 0.8, "rotation": 4.4, "hue": -0.3})
        == "left 3\u00a0%, gamma 0.80, turned +4°, hue +0°"
    )


def test_a_study_without_augmentation_shows_none(project, monkeypatch):
    """Nor a comparison of one run with itself."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    from helpers.projects import set_params

    set_params(Path(), study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    write_run(Run("own_cnn", "default", "original", 1), 40)
    write_data()
    report.main()
    text = Content(PAGE.read_text(encoding="utf-8")).text()
    assert "Accuracy against training time" not in text
    assert "What each technique was worth" not in text


def searched(trials: int) -> list[dict]:
    """Return the charts of a search of the own CNN."""
    write_trials("own_cnn", trials)
    report.main()
    page = Content(PAGE.read_text(encoding="utf-8"))
    assert ("What the search tried" in page.text()) == (trials > 1)
    charts = [json.loads(each["data-chart"]) for _, each in page.elements if "data-chart" in each]
    return [chart for chart in charts if "state" in chart["data"]["values"][0]]


@pytest.mark.parametrize(("trials", "shown"), [(1, 0), (4, 1), (6, 2), (30, 2)])
def test_a_search_is_shown_where_it_tried_more_than_the_defaults(trials, shown, content):
    """Its trials, but for one that diverged; of five and more each hyperparameter that differed, words as well."""
    charts = searched(trials)
    assert len(charts) == shown
    for losses in charts[:1]:
        assert len(losses["data"]["values"]) == trials - 1
        assert losses["data"]["values"][1]["settings"].startswith(
            "learning_rate 0.002, optimizer muon, epochs 6, online"
        )
    for slices in charts[1:]:
        values = {row["hyperparameter"]: row["value"] for row in slices["data"]["values"]}
        assert values.keys() == {"learning_rate", "optimizer", "epochs", "online_augmentation.crop"}
        assert values["optimizer"] in ("muon", "adamw")
        assert len(slices["concat"]) == 4


def test_heads_are_no_trials_in_a_row(content):
    """A grid of settings has no order: what each setting brought is shown alone, as cross-validated."""
    for run in RUNS:
        write_run(run, 30, settings={"image_size": 64, "freeze": "backbone", "weights": "imagenet"})
    assert len(searched(6)) == 1
    assert "own CNN: cross-validated loss of heads by" in Content(PAGE.read_text(encoding="utf-8")).text()


def test_names_may_break_behind_their_parts_alone():
    """And are text all the same."""
    assert breakable("a_b/<i>") == "a_<wbr>b/<wbr>&lt;i&gt;"
    assert "<td>001.Black_<wbr>footed_<wbr>Albatross</td>" in html("| x |\n| - |\n| 001.Black_footed_Albatross |")
    assert "<td>own_cnn, default</td>" in html("| x |\n| - |\n| own_cnn, default |")
