"""What a folder of programs offers, by the first sentence of each: `python -m benchmarks`, `python -m experiments`."""

import ast
from pathlib import Path


def summary(file: Path) -> str:
    """Return the first sentence of a module's docstring, without its full stop."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n\n")[0].replace("\n", " ").removesuffix(".")


def catalogue(folder: Path, minutes: dict[str, str]) -> str:
    """Return a line for each program of a folder: its name, its minutes on two cores, and what it is."""
    width = max(map(len, minutes))
    lines = [f"  {name:{width}}  {minutes[name]:>6}  {summary(folder / f'{name}.py')}" for name in sorted(minutes)]
    return "\n".join(
        [f"python -m {folder.name}.NAME; about how many minutes on 2 cores; each file says how to call it", "", *lines]
    )
