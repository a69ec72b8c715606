"""The report's page in a real browser."""

import json
import os
import shutil
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from stages import report
from tests.records import of_classes, write_data, write_insight, write_run, write_trials
from tests.test_report import RUNS

NASTY = ["<script>alert(1)</script>", "O\"Brien's & <b>jay</b> שלום 🐦"]
BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
if not (BROWSER and DRIVER) and os.environ.get("SERVERS") == "required":
    raise RuntimeError("chromium and chromedriver are needed here")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no Chromium with its driver on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The page of a made-up study whose classes have nasty names; its address."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copyfile(Path(__file__).parents[1] / "params.yaml", folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, run in enumerate(RUNS):
            confusion = of_classes(NASTY, [[20, 0], [20 - 2 * number, 2 * number]])
            write_run(run, 20 + 2 * number, seconds=60.0 + number, **confusion)
        write_data(NASTY)
        write_insight(NASTY)
        write_trials("own_cnn")
        report.main()
    return (folder / "data/report/index.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    """A browser without a window that keeps a log of its console and of its requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, page):
    """The page, with all its charts drawn."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what earlier tests left
    browser.get(page)
    drawn(browser, "light")
    return browser


def drawn(browser, scheme: str) -> None:
    """Wait until all charts are drawn in a colour scheme."""
    script = "return document.documentElement.dataset.drawn"
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(script) == scheme)


def column(browser, number: int) -> list[str]:
    """Return a column of the table of results."""
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, f".results tbody tr > :nth-child({number})")]


def test_it_opens_without_an_error_and_without_a_request(opened, page):
    """Nothing in the console; the file itself is all that is read."""
    assert opened.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {address for address in asked if not address.startswith("data:")} == {page}
    assert len(opened.find_elements(By.CSS_SELECTOR, ".chart svg")) == 10


def test_a_table_is_sorted_by_its_headings(opened):
    """By value, highest first, and the other way round; by keyboard as well."""
    button = opened.find_element(By.XPATH, "//table[@class='results']//th/button[text()='accuracy']")
    accuracies = column(opened, 2)
    button.click()
    assert column(opened, 2) == sorted(accuracies, key=lambda text: -float(text.rstrip(" %")))
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    button.send_keys("\n")
    assert column(opened, 2) == sorted(accuracies, key=lambda text: float(text.rstrip(" %")))


def test_words_stand_left_and_numbers_right(opened):
    """In every table, whatever a cell's length."""
    script = "return [...document.querySelectorAll(arguments[0])].map(cell => getComputedStyle(cell).textAlign)"
    for words in (
        "#images td:nth-child(2)",
        "#images th:nth-child(2)",
        "#worth td:nth-child(3)",
        "#confusion td:nth-child(2)",
    ):
        assert set(opened.execute_script(script, words)) == {"left"}
    for numbers in ("#images td:nth-child(3)", ".results td", "#calibration td:nth-child(2)"):
        assert set(opened.execute_script(script, numbers)) == {"right"}


def test_names_are_text(opened):
    """Whatever they hold: in tables, captions and charts."""
    text = opened.find_element(By.TAG_NAME, "main").text
    assert f"{NASTY[0]}, taken for {NASTY[1]}" in text
    labels = [label.text for label in opened.find_elements(By.CSS_SELECTOR, "#confusion svg text")]
    assert NASTY[0] in labels
    assert opened.find_elements(By.CSS_SELECTOR, "main b:not(.bar b), main script") == []


def test_a_chart_tells_more_under_the_pointer_and_zooms(opened):
    """A cell of the confusion matrix names its classes; the wheel narrows the axis of the curves."""
    cell = opened.find_element(By.CSS_SELECTOR, "#confusion svg .mark-rect path")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(opened).move_to_element(cell).perform()
    tip = WebDriverWait(opened, 10).until(lambda it: it.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"))
    assert NASTY[0] in tip[0].text
    axis = "#curves svg .mark-text.role-axis-label text"
    before = [label.text for label in opened.find_elements(By.CSS_SELECTOR, axis)]
    plot = opened.find_element(By.CSS_SELECTOR, "#curves svg .mark-symbol path")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(plot, 40, -40)
    ActionChains(opened).scroll_from_origin(origin, 0, -400).perform()
    WebDriverWait(opened, 10).until(
        lambda it: [each.text for each in it.find_elements(By.CSS_SELECTOR, axis)] != before
    )


def test_a_trial_tells_its_settings_and_is_marked_in_all_panels(opened):
    """One of them is under the pointer."""
    points = opened.find_elements(By.CSS_SELECTOR, "#search figure:last-child svg .mark-symbol path")
    colours = lambda: [point.get_attribute("fill") for point in points]  # noqa: E731
    assert len(set(colours())) == 1
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", points[0])
    ActionChains(opened).move_to_element(points[0]).perform()
    tip = WebDriverWait(opened, 10).until(lambda it: it.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"))
    assert "online_augmentation.crop 1" in tip[0].text
    marked = WebDriverWait(opened, 10).until(lambda _: [each for each in colours() if colours().count(each) == 4])
    assert len(marked) == 4  # hyperparameters that differ


def test_a_point_of_the_map_shows_its_image_under_the_pointer(opened):
    """With its class, whatever that is called; the doubtful one is a cross."""
    points = opened.find_elements(By.CSS_SELECTOR, "#map svg .mark-symbol path")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", points[0])
    ActionChains(opened).move_to_element(points[0]).perform()
    tip = WebDriverWait(opened, 10).until(lambda it: it.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"))
    assert any(name in tip[0].text for name in NASTY)
    shown = tip[0].find_elements(By.TAG_NAME, "img")
    assert shown[0].get_property("naturalWidth") == 32


def test_dark_is_dark_and_light_is_light(opened):
    """By the button, in charts as well; and as the system asks for."""
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = opened.execute_script(paper)
    opened.find_element(By.ID, "scheme").click()
    drawn(opened, "dark")
    assert opened.execute_script(paper) != light
    asked = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", asked)
    opened.refresh()
    drawn(opened, "dark")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_rows_of_a_chart_are_told_apart_on_a_phone(opened):
    """Where the name of a technique is cut, what it was tried with stands whole below it."""
    metrics = {"width": 360, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        opened.refresh()
        drawn(opened, "light")
        labels = opened.find_elements(By.CSS_SELECTOR, "#worth svg .role-axis-label text")
        texts = [label.get_attribute("textContent") for label in labels]
        assert any(text.endswith("own_cnn, default") for text in texts)
        assert len(set(texts)) == len(texts)
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


CUT_OFF = """
return [...document.querySelectorAll(".chart")].flatMap(chart => {
  const frame = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("svg text")].filter(text => {
    const box = text.getBoundingClientRect();
    return text.textContent && (box.left < frame.left - 1 || box.right > frame.right + 1);
  }).map(text => text.textContent);
})
"""


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(opened, width, scheme):
    """At any width nothing lies outside the page, no word outside its chart, and axe-core finds nothing serious."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        opened.refresh()
        drawn(opened, scheme)
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
        assert opened.execute_script(CUT_OFF) == []
        found = Axe().run(opened)
        serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
