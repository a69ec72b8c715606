"""Read a section of params.yaml through its schema; say every mistake in it at once, each with its line."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from stages.runtime.errors import UserError
from stages.runtime.yaml_files import compose, construct

FILE = Path("params.yaml")
SHOWN_CHARACTERS = 100  # of a value that is not allowed
Value = TypeVar("Value")


class Section(BaseModel):
    """Base of every schema of settings: what it does not name is a mistake, and nothing changes once read."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_section(key: str, schema: type[Value]) -> Value:
    """Return the value at the dotted `key` of params.yaml as `schema` defines it.

    Raises UserError with one line per mistake, each naming file, line, key, value and what is allowed.
    """
    root = _document()
    value, node = construct(root), root
    for part in (steps := key.split(".")):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{FILE}: {key} is missing; add the key (git log -p {FILE} shows how it was)")
        value, node = value[part], _child(node, part)
    try:
        return TypeAdapter(schema).validate_python(value)
    except ValidationError as invalid:
        raise UserError(*(_line(root, steps, error, schema) for error in invalid.errors())) from None


def read_merged_section(
    common: str, shared: type[BaseModel], own: str, schema: type[Value], besides: Collection[str] = ()
) -> Value:
    """Return the section `common` with what the section `own` has instead or besides, as `schema` defines both.

    `shared` is the schema of what `common` may hold. `own` may be missing; its keys `besides` are for others to read.
    Raises UserError as `read_section` does.
    """
    root = _document()
    whole = construct(root)
    settings, overrides = (_section(whole, key) for key in (common, own))
    overrides = {name: value for name, value in overrides.items() if name not in besides}
    errors = [
        ErrorDetails(type="extra_forbidden", loc=(name,), msg="", input="")
        for name in settings
        if name not in shared.model_fields
    ]
    try:
        value = TypeAdapter(schema).validate_python(
            {name: settings[name] for name in settings if name in shared.model_fields} | overrides
        )
    except ValidationError as invalid:
        errors += invalid.errors()
    lines = []
    for error in errors:
        name = error["loc"][0]
        is_own = name in overrides or (error["type"] == "missing" and name not in shared.model_fields)
        lines.append(_line(root, (own if is_own else common).split("."), error, schema if is_own else shared))
    if lines:
        raise UserError(*lines)
    return value


def _section(whole: Any, key: str) -> dict[str, Any]:
    for step in key.split("."):
        whole = whole.get(step) if isinstance(whole, dict) else None
    if whole is not None and not isinstance(whole, dict):
        raise UserError(f"{FILE}: {key} = {_shown(whole)} is no section; write `name: value` lines below {key}")
    return whole or {}


def section_names() -> list[str]:
    """Return the keys on the first level of params.yaml."""
    return [str(name) for name in construct(_document())]


def _document() -> Node:
    if not FILE.exists():
        raise UserError(f"{FILE} is missing; run from the project's top folder")
    node = compose(FILE)
    if not isinstance(node, MappingNode):
        raise UserError(f"{FILE}: expected `key: value` lines")
    return node


def _child(node: Node, step: str | int) -> Node:
    """Return the node below `node` at `step`, or `node` itself where there is none."""
    if isinstance(node, MappingNode):
        return next((value for name, value in node.value if name.value == str(step)), node)
    if isinstance(node, SequenceNode) and isinstance(step, int):
        children: list[Node] = node.value
        return children[step] if step < len(children) else node
    return node


def _line(root: Node, steps: list[str], error: ErrorDetails, schema: object) -> str:
    node, path = root, [*steps, *error["loc"]]
    named: list[str] = []
    for step in path:
        below = _child(node, step)
        if below is node and error["type"] != "missing":
            break  # a step inside a union or validator, not a key of the file
        node = below
        named.append(str(step))
    where = f"{FILE}, line {node.start_mark.line + 1}: {'.'.join(named)}"
    if error["type"] == "extra_forbidden":
        return f"{where} is not a setting; {_allowed(path, schema)}"
    if error["type"] == "missing":
        return f"{where} is missing; add it"
    return f"{where} = {_shown(error['input'])} is not allowed: {_sentence(error['msg'])}"


def first_fault(invalid: ValidationError) -> str:
    """Return the first thing that is wrong with what is no params.yaml: where in it, and why."""
    first = invalid.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _allowed(path: list[Any], schema: object) -> str:
    fields = list(schema.model_fields) if isinstance(schema, type) and issubclass(schema, BaseModel) else []
    close = difflib.get_close_matches(str(path[-1]), fields, n=1)
    return f"did you mean {close[0]}?" if close else f"allowed here: {', '.join(fields)}"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ")
