"""Answers for people and for programs: a table, lines of text, CSV, or JSON."""

import csv
import json
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stages.prediction.classifier import Answer

NONE = "none of these"


class Output(Protocol):
    """What answers are written to, one after the other."""

    def add(self, answer: Answer) -> None:
        """Write an answer."""

    def close(self) -> None:
        """Write what is left to write."""


class Lines:
    """A line for each answer, its parts apart by tabs: path, then class and probability of each."""

    def add(self, answer: Answer) -> None:
        """Write an answer."""
        print("\t".join([printable(answer.path), *(part for pair in _shown(answer) for part in pair)]))

    def close(self) -> None:
        """Nothing is left."""


class Csv:
    """A row for each class that is named, with a heading."""

    def __init__(self) -> None:
        self.writer = csv.writer(sys.stdout, lineterminator="\n")
        self.writer.writerow(["path", "rank", "class", "probability", "none_of_these"])

    def add(self, answer: Answer) -> None:
        """Write an answer."""
        for rank, (name, probability) in enumerate(answer.classes, start=1):
            self.writer.writerow([answer.path, rank, name, f"{probability:.6f}", answer.is_none])

    def close(self) -> None:
        """Nothing is left."""


class JsonLines:
    """An object a line."""

    def add(self, answer: Answer) -> None:
        """Write an answer."""
        classes = [{"name": name, "probability": round(probability, 6)} for name, probability in answer.classes]
        print(
            json.dumps({"path": answer.path, "classes": classes, "none_of_these": answer.is_none}, ensure_ascii=False)
        )

    def close(self) -> None:
        """Nothing is left."""


class TerminalTable:
    """A table at a terminal."""

    def __init__(self) -> None:
        self.table = Table("image", "class", "probability")
        self.table.columns[0].overflow = self.table.columns[1].overflow = "fold"
        self.table.columns[2].justify = "right"

    def add(self, answer: Answer) -> None:
        """Add an answer."""
        for number, (name, probability) in enumerate(_shown(answer)):
            self.table.add_row("" if number else escape(printable(answer.path)), escape(name), probability)
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


def _shown(answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.is_none:
        yield NONE, ""
    for name, probability in answer.classes:
        yield printable(name), f"{100 * probability:.1f} %"


def printable(text: str) -> str:
    """Return text on one line and without what would steer a terminal."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(one: str) -> str:
    return one if one.isprintable() else one.encode("unicode_escape").decode()
