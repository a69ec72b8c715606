"""Check all of params.yaml before anything runs: `python -m stages`. Each stage checks its own sections as well."""

from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pydantic import NonNegativeInt

from stages import augment, fetch, networks, prepare
from stages.lib.command import run_stage
from stages.lib.hyperparameters import OnTheFly, Search
from stages.lib.networks import network_module
from stages.lib.params import read, section_names
from stages.lib.problems import Problem
from stages.lib.runs import Study

SECTIONS = ("seed", "study", "dataset", "prepare", "augment", "tune", "on_the_fly", "networks")


def main() -> None:
    """Read every section through its schema; raise one Problem with the mistakes of all."""
    known = sorted(module.name for module in iter_modules(networks.__path__))
    schemas: dict[str, Any] = {"seed": NonNegativeInt, "study": Study, "dataset": fetch.Dataset}
    schemas.update(prepare=prepare.Settings, augment=augment.Settings)
    schemas |= {f"dataset.{name}": fetch.source_module(name).Settings for name in fetch.source_names()}
    schemas |= {"tune.deterministic": bool, "on_the_fly": OnTheFly}
    schemas |= {f"tune.{name}": Search for name in known}
    schemas |= {f"networks.{name}": network_module(name).Settings for name in known}
    lines = [f"params.yaml: {name} is no section; there are {', '.join(SECTIONS)}" for name in unknown_sections()]
    for key, schema in schemas.items():
        try:
            read(key, schema)
        except Problem as problem:
            lines += problem.lines
    lines += contradictions(known) if not lines else []
    if lines:
        raise Problem(*lines)


def unknown_sections() -> list[str]:
    """Return the first-level keys that no stage reads."""
    return [name for name in section_names() if name not in SECTIONS]


def contradictions(known_networks: list[str]) -> list[str]:
    """Return a line for each valid setting that another setting or the disk contradicts."""
    study, source = read("study", Study), read("dataset.source", str)
    lines = [
        f"params.yaml: study.networks names {name!r}, but stages/networks has only {', '.join(known_networks)}"
        for name in study.networks
        if name not in known_networks
    ]
    if not Path(path := read("dataset.folder.path", str)).exists():
        wanted = "name a folder or an archive" if source == "folder" else "DVC watches it whatever the source is"
        lines.append(f"params.yaml: dataset.folder.path = {path} does not exist; {wanted}")
    return lines + [line for name in known_networks for line in network_contradictions(name, study)]


def network_contradictions(name: str, study: Study) -> list[str]:
    """Return a line for each setting that does not suit a network."""
    module, lines = network_module(name), []
    told, size = read(f"networks.{name}", module.Settings), read("prepare.image_size", int)
    if told.weights == "none" and told.freeze != "none":
        key = f"networks.{name}"
        lines.append(f"params.yaml: {key}.freeze = {told.freeze}, but there is nothing to keep: {key}.weights = none")
    if name in study.networks and size < (smallest := getattr(module, "REDUCTION", 1)):
        lines.append(f"params.yaml: prepare.image_size = {size}, but {name} needs {smallest} or more")
    return lines


if __name__ == "__main__":
    run_stage(main)
