"""What a section of the page is made of: text, a chart, a table of results, or images."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from stages.reporting.charts import Chart

LONG_WORD = r"(?<=<td>)[^<>\s]{20,}(?=</td>)"  # alone in a cell of a table


class PageImage(NamedTuple):
    """An image to look at: encoded, what to say below it, a heat map over it and its file, "" where there is none."""

    source: str
    caption: str
    heat_map: str = ""
    file: str = ""


class Block(NamedTuple):
    """A part of a section; one of its fields is filled."""

    text: Markup = Markup()
    chart: Chart | None = None
    description: str = ""  # what a chart shows, for those who do not see it
    results: Sequence[Mapping[str, Any]] = ()
    images: Sequence[PageImage] = ()
    paired: bool = False  # images belong together two and two


def html(markdown: str) -> Markup:
    """Return Markdown as HTML; HTML within it is text."""
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    broken = re.sub(LONG_WORD, lambda word: re.sub("([_/])", r"\1<wbr>", word[0]), rendered)
    return Markup(broken)  # noqa: S704  # escaped


def breakable(text: str) -> Markup:
    """Return text that may go on in the next line after _ and /: names of files and classes have no spaces."""
    return Markup(re.sub("([_/])", r"\1<wbr>", str(escape(text))))  # noqa: S704  # escaped


def titled(title: str) -> Block:
    """Return a section's heading."""
    return Block(text=html(f"## {title}"))


def embedded(image: bytes) -> str:
    """Return an image as the address of itself."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(image).decode()}"
