"""Predictions for people and for programs: a table, lines of text, CSV, or JSON."""

import csv
import json
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stages.prediction.classifier import Prediction

NONE = "none of these: unlike anything it learned from"


class Output(Protocol):
    """What predictions are written to, one after the other."""

    def add(self, prediction: Prediction) -> None:
        """Write an prediction."""

    def close(self) -> None:
        """Write what is left to write."""


class Lines:
    """A line for each prediction, apart by tabs: path, class and probability of each, and whether it is none."""

    def add(self, prediction: Prediction) -> None:
        """Write an prediction."""
        named = [part for pair in _shown(prediction) for part in pair if part]
        print("\t".join([printable(prediction.path), *named]))

    def close(self) -> None:
        """Nothing is left."""


class Csv:
    """A row for each class that is named, with a heading."""

    def __init__(self) -> None:
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        self.writer.writerow(["path", "rank", "class", "probability", "none_of_these"])

    def add(self, prediction: Prediction) -> None:
        """Write an prediction."""
        for rank, (name, probability) in enumerate(prediction.classes, start=1):
            cells = (
                without_formula(prediction.path),
                rank,
                without_formula(name),
                f"{probability:.6f}",
                prediction.is_none,
            )
            self.writer.writerow(cells)

    def close(self) -> None:
        """Nothing is left."""


class JsonLines:
    """An object a line."""

    def add(self, prediction: Prediction) -> None:
        """Write an prediction."""
        classes = [{"name": name, "probability": round(probability, 6)} for name, probability in prediction.classes]
        line = {"path": prediction.path, "classes": classes, "none_of_these": prediction.is_none}
        text = json.dumps(line, ensure_ascii=False, allow_nan=False)
        is_shown = text.isprintable() and text == text.encode(sys.stdout.encoding, "replace").decode(
            sys.stdout.encoding
        )
        print(text if is_shown else json.dumps(line, allow_nan=False))  # what steers a terminal is escaped

    def close(self) -> None:
        """Nothing is left."""


class TerminalTable:
    """A table at a terminal."""

    def __init__(self) -> None:
        self.table = Table("image", "class", "probability")
        self.table.columns[0].overflow = self.table.columns[1].overflow = "fold"
        self.table.columns[2].justify = "right"

    def add(self, prediction: Prediction) -> None:
        """Add an prediction."""
        for number, (name, probability) in enumerate(_shown(prediction)):
            self.table.add_row("" if number else escape(printable(prediction.path)), escape(name), probability)
        self.table.add_section()

    def close(self) -> None:
        """Write the table."""
        if self.table.row_count:
            Console().print(self.table)


def output_for(kind: str) -> Output:
    """Return what writes json, csv, or text: a table where that is a terminal, else lines."""
    if kind == "json":
        return JsonLines()
    if kind == "csv":
        return Csv()
    return TerminalTable() if sys.stdout.isatty() else Lines()


def _shown(prediction: Prediction) -> Iterator[tuple[str, str]]:
    for name, probability in prediction.classes:
        yield printable(name), f"{100 * probability:.1f} %"
    if prediction.is_none:
        yield NONE, ""


def printable(text: str) -> str:
    """Return text on one line and without what would steer a terminal."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(one: str) -> str:
    return one if one.isprintable() else one.encode("unicode_escape").decode()


def without_formula(text: str) -> str:
    """Return the text of a cell so that no spreadsheet takes it for a formula, and no terminal is steered by it."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
