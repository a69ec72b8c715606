"""Read YAML as DVC does (YAML 1.2: `no` is a word, 010 is ten), and only what its files here have a use for.

A file from a stranger's branch must not fill the memory or end in a traceback: depth, size and kinds are limited.
"""

from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from stages.runtime.errors import UserError

MAX_DEPTH = 50
MAX_NODES = 100_000  # an alias (*name) counts as all that it stands for
MAX_DIGITS = 20
TAG = "tag:yaml.org,2002:"


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds; an empty one None. Raises UserError with file and line where it is not allowed."""
    node = compose(path)
    return None if node is None else construct(node)


def compose(path: Path) -> Node | None:
    """Return a YAML file's root node, which knows its lines. Raises UserError as `read_yaml` does."""
    try:
        return _composed(str(path), path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        # a key without its colon is found out in the next line
        mark = error.context_mark if error.context == "while scanning a simple key" else error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not valid YAML: {error.problem}") from None
    except (ValueError, YAMLError) as error:  # a ValueError: not UTF-8
        raise UserError(f"{path}: not valid YAML: {error}") from None


def construct(node: Node) -> Any:
    """Return the value that a node stands for."""
    return YAML(typ="safe").constructor.construct_document(node)


@lru_cache(maxsize=8)
def _composed(name: str, text: str) -> Node | None:
    _check_events(name, text)  # first, for composing what is too deep may end the process
    node: Node | None = YAML(typ="safe").compose(text)
    if node is not None:
        _check_nodes(name, node)
        construct(node)  # duplicate keys come to light here
    return node


def _check_events(name: str, text: str) -> None:
    depth = 0
    for event in YAML(typ="safe").parse(text):
        if getattr(event, "tag", None):
            raise UserError(f"{name}, line {event.start_mark.line + 1}: tags ({event.tag}) are not used here")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UserError(f"{name}, line {event.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")


def _check_nodes(name: str, root: Node) -> None:
    """Raise UserError at the first node that is not allowed; not by recursion, for an alias may stand within itself."""
    waiting, count = [root], 0
    while waiting:
        node = waiting.pop()
        count += 1
        where = f"{name}, line {node.start_mark.line + 1}"
        if count > MAX_NODES:
            raise UserError(f"{name}: more than {MAX_NODES} values; aliases (*name) count as what they stand for")
        if fault := _fault(node):
            raise UserError(f"{where}: {fault}")
        if isinstance(node, MappingNode):
            for key, value in node.value:
                if not isinstance(key, ScalarNode):
                    raise UserError(f"{where}: a key must be one word")
                waiting += [value, key]
        elif isinstance(node, SequenceNode):
            waiting += node.value


def _fault(node: Node) -> str:
    """Return what is wrong with one node, or nothing."""
    if not isinstance(node, ScalarNode):
        return ""
    kind, text = str(node.tag).removeprefix(TAG), str(node.value)
    if kind == "timestamp":
        return f"{text} is a date; write it in quotes"
    if kind == "int" and len(text) > MAX_DIGITS:
        return f"a number of {len(text)} digits; {MAX_DIGITS} are allowed"
    if kind == "float" and not _is_finite(text):
        return f"{text} is no finite number"
    return ""


def _is_finite(text: str) -> bool:
    try:
        return isfinite(float(text.replace("_", "")))
    except ValueError:  # YAML's .inf and .nan
        return False
