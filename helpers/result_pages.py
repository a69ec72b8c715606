"""docs/results.md and docs/speed.md, made of what experiments and benchmarks have measured: no number is typed.

python -m helpers.result_pages
"""

import json
from pathlib import Path

from helpers.catalogue import summary
from helpers.projects import ROOT

PAGES = {
    "docs/results.md": (
        "experiments",
        "# Results\n\nWhat the study's own claims rest on. Each table is printed by the command below it.",
    ),
    "docs/speed.md": (
        "benchmarks",
        "# Speed\n\nHow long things take. Each table is printed by the command below it.",
    ),
}


def page(folder: str, heading: str) -> str:
    """Return a page with the table of each program of a folder that has kept one."""
    parts, kept = [heading], {}
    for file in sorted((ROOT / folder / "results").glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.get("table"):
            kept[file.stem] = content
    machines = {content["machine"] for content in kept.values()}
    if len(machines) == 1:
        parts.append(f"All were made on {machines.pop()}.")
    for name, content in kept.items():
        machine = f" {content['machine']};" if machines else ""
        command = content.get("command", f"python -m {folder}.{name}")
        made = f"`{command}`;{machine} commit {content['commit']}."
        what = summary(ROOT / folder / f"{name}.py")
        parts += [f"## {name.replace('_', ' ').capitalize()}", f"{what}.", content["table"], made]
    if len(parts) == 1:
        parts.append(
            "Nothing has been measured with this version yet. What earlier ones gave is in the [log](log/README.md)."
        )
    return "\n\n".join(parts) + "\n"


def pages() -> dict[Path, str]:
    """Return the text of each page by its file."""
    return {ROOT / name: page(*parts) for name, parts in PAGES.items()}


if __name__ == "__main__":
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
        print(file)
