"""docs/results.md, evidence.md and speed.md, made of what experiments and benchmarks measured: no number is typed.

python -m helpers.result_pages
"""

import json
from collections.abc import Sequence
from pathlib import Path

from helpers.catalogue import summary
from helpers.projects import ROOT

PAGES = {  # folder, heading, and the programs whose tables stand there
    "docs/results.md": (
        "experiments",
        "# Results\n\nThe measured worth of networks, tuning and training images. Each table is printed by the command"
        " below it. Its arguments are archives in the folder where it runs: Caltech-UCSD Birds as published (or its"
        " first 20 classes, `cub20`; or all 200 at 128 pixels, `cub200`) and 20 classes of Tiny ImageNet (`tiny20`)."
        " [Evidence](evidence.md) shows what these claims rest on.",
        ("pretrained_heads", "fine_tuning", "tuning_gain", "augmentation_strength", "insight"),
    ),
    "docs/evidence.md": (
        "experiments",
        "# Evidence\n\nWhether the report's statistics and the search keep what they promise. Each table is printed by"
        " the command below it.",
        ("false_claims", "search_rule", "rank_correlation"),
    ),
    "docs/speed.md": (
        "benchmarks",
        "# Speed\n\nHow long things take. Each table is printed by the command below it.",
        ("classify", "features", "inference"),
    ),
}


def page(folder: str, heading: str, programs: Sequence[str]) -> str:
    """Return a page with the table of each program of a folder that has kept one, in the order of `programs`."""
    parts, kept = [heading], {}
    results = ROOT / folder / "results"
    for name in programs:
        file = results / f"{name}.json"
        content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if content.get("table"):
            kept[name] = content
    machines = {name: content["machine"].split(", ") for name, content in kept.items()}
    alike = [part for part in next(iter(machines.values()), []) if all(part in each for each in machines.values())]
    if alike:
        parts.append(f"All tables: {', '.join(alike)}.")
    for name, content in kept.items():
        machine = " " + ", ".join(part for part in machines[name] if part not in alike) + ";"
        machine = "" if machine == " ;" else machine
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
