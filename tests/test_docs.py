"""README and docs are short, lead nowhere that is not there, and name what the project has."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
import yaml
from pydantic import BaseModel

from helpers import result_pages
from helpers.projects import ROOT
from stages import augment, fetch, prepare, report
from stages.networks.common.contract import NetworkDefinition, network_named, network_names
from stages.networks.common.settings import OnlineAugmentation, Search
from stages.runtime.study import Study

README = ROOT / "README.md"
DOCS = [page for page in sorted((ROOT / "docs").rglob("*.md")) if "log" not in page.relative_to(ROOT).parts]
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")), *DOCS]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def words(*pages: Path) -> int:
    """Return what `wc -w` counts."""
    return sum(len(text(page).split()) for page in pages)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text(page))}


def test_docs_are_short():
    """README on two screens, a guide on one, what was measured on two; all but the log is read within an hour."""
    guides = {page.name: len(text(page).splitlines()) for page in DOCS if page.parent.name == "guides"}
    assert [name for name, lines in guides.items() if lines > 60] == []
    made = [ROOT / name for name in result_pages.PAGES]
    assert [page.name for page in made if len(text(page).splitlines()) > 80] == []
    assert (len(text(README).splitlines()) <= 100, words(README) <= 900, words(*DOCS) <= 9_000) == (True, True, True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    """To a file, and to a heading where one is named."""
    lost = []
    for link in LINK.findall(text(page)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            lost.append(link)
    assert lost == []


def test_no_figure_is_left_open():
    """A name in two braces waits for its number."""
    assert [mark for page in (README, *DOCS) for mark in re.findall(r"\{\{\w+\}\}", text(page))] == []


def test_commands_are_there():
    """Each make's target, each Python module, and each file of tests that a page names."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    pages = "\n".join(map(text, PAGES))
    named = set(re.findall(r"(?:`|^\s*|&& )make ([a-z][a-z-]*)", pages, re.MULTILINE))
    assert named - targets == set()
    modules = set(re.findall(r"python -m ((?:stages|benchmarks|experiments|helpers)[\w.]*)", pages))
    assert [module for module in sorted(modules) if find_spec(module.rstrip(".")) is None] == []
    assert [path for path in set(re.findall(r"\btests/[\w/.]+\w", pages)) if not (ROOT / path).exists()] == []


def test_readme_has_a_row_for_each_stage():
    """In their order in dvc.yaml."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    table = text(README).partition("## The stages")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE)[1:] == list(stages)


def sections() -> Iterator[tuple[type[BaseModel], Any]]:
    """Yield each schema of settings with what params.yaml has of it."""
    yield Study, PARAMS["study"]
    yield prepare.PrepareSettings, PARAMS["prepare"]
    yield augment.AugmentSettings, PARAMS["augment"]
    yield OnlineAugmentation, PARAMS["online_augmentation"]
    yield Search, PARAMS["search"]
    yield report.Settings, PARAMS["report"]
    for name in fetch.source_names():
        yield fetch.source_module(name).Settings, PARAMS["dataset"][name]
    for name in network_names():
        yield network_named(name).schema, PARAMS["training"] | PARAMS["networks"].get(name, {})


def test_each_setting_is_explained():
    """In params.yaml, or in the list of those that it leaves out."""
    explained = set(re.findall(r"^- `(\w+)`", text(ROOT / "docs/references/settings.md"), re.MULTILINE))
    missing = {name for schema, given in sections() for name in schema.model_fields if name not in given}
    assert missing - explained == set()


def test_networks_of_the_guide_keep_the_contract():
    """Written as a reader would; the one whose weights need no hub answers images."""
    blocks = re.findall(r"```python\n(.*?)```", text(ROOT / "docs/guides/networks.md"), re.DOTALL)
    found: list[Any] = []
    for block in blocks:
        names: dict[str, Any] = {}
        exec(dedent(block), names)  # noqa: S102 - of a page of ours
        found.append(names["network"])
    assert [isinstance(network, NetworkDefinition) for network in found] == [True, True]
    linear = found[1].build(None, 3, 8)
    assert linear(torch.zeros(2, 3, 8, 8)).shape == (2, 3)
    assert {name for name in linear.state_dict() if name.startswith(found[1].head)} == {"1.weight", "1.bias"}


def test_each_variable_of_the_environment_is_explained():
    """Those that this project reads, but for what its own processes tell each other."""
    code = "\n".join(map(text, (ROOT / "stages").rglob("*.py")))
    named = set(re.findall(r"\"(STUDY_[A-Z_]+)\"", code)) - {"STUDY_ERROR_FILE"}
    assert named - set(re.findall(r"`(STUDY_[A-Z_]+)[`=]", text(ROOT / "docs/references/settings.md"))) == set()
