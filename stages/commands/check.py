"""Check all that can be known before anything runs: `python -m stages`. Each stage checks its own sections as well."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from stages import augment, fetch, prepare, report
from stages.commands.estimate import Size, images_in, warnings_about
from stages.datasets.common.folders import access_error, walk_files
from stages.networks.common.contract import Network, network_named
from stages.networks.common.settings import OnlineAugmentation, Search, Training
from stages.runtime.command import run_stage
from stages.runtime.config import read, read_overridden, section_names
from stages.runtime.errors import UserError
from stages.runtime.files import write_text
from stages.runtime.study import Study

LARGEST_NETWORK = 28_000_000  # parameters: of those in stages/networks, ConvNeXt-Tiny's
SECTIONS = (
    "seed",
    "study",
    "dataset",
    "prepare",
    "augment",
    "search",
    "training",
    "online_augmentation",
    "report",
    "networks",
)


def main() -> None:
    """Read every section through its schema, look at networks and files; raise one UserError with all mistakes."""
    lines = [f"params.yaml: {name} is no section; there are {', '.join(SECTIONS)}" for name in unknown_sections()]
    schemas: dict[str, Any] = {"seed": NonNegativeInt, "study": Study, "dataset": fetch.Dataset}
    schemas.update(
        prepare=prepare.PrepareSettings,
        augment=augment.AugmentSettings,
        online_augmentation=OnlineAugmentation,
        report=report.Settings,
    )
    schemas |= {f"dataset.{name}": fetch.source_module(name).Settings for name in fetch.source_names()}
    for key, schema in schemas.items():
        lines += problems_of(partial(read, key, schema))
    lines += network_mistakes()
    lines += problems_of(complain_of_contradictions) if not lines else []
    if lines:
        raise UserError(*dict.fromkeys(lines))
    for line in warnings_about(size_of_study()):
        print(f"warning: {line}", file=sys.stderr)


def problems_of(check: Callable[[], object]) -> list[str]:
    """Return the lines of the UserError that a check raises, if any."""
    try:
        check()
    except UserError as problem:
        return list(problem.lines)
    return []


def unknown_sections() -> list[str]:
    """Return the first-level keys that no stage reads."""
    return [name for name in section_names() if name not in SECTIONS]


def network_mistakes() -> list[str]:
    """Return a line for each mistake in the settings or the file of a network that params.yaml speaks of."""
    try:
        sections, named = read("networks", dict[str, dict[str, Any] | None]), read("study.networks", list[str])
    except UserError as problem:
        return list(problem.lines)
    lines = [
        f"params.yaml: networks.{name} is missing; add `{name}: {{}}` to networks, with what it has other than training"
        for name in named
        if name not in sections
    ]
    for name in dict.fromkeys([*sections, *named]):
        lines += problems_of(partial(check_settings, name))
        lines += problems_of(partial(read_overridden, "search", Search, f"networks.{name}.search", Search))
    return lines


def check_settings(name: str) -> None:
    """Raise UserError where a network's file or its settings are wrong."""
    settings_of(network_named(name))


def settings_of(network: Network[Any]) -> Training:
    """Return a network's settings, as params.yaml has them for all networks and for this one."""
    key = f"networks.{network.name}"
    settings: Training = read_overridden("training", Training, key, network.schema, besides=["search"])
    return settings


def complain_of_contradictions() -> None:
    """Raise UserError for each valid setting that another setting or the disk contradicts."""
    study, source = read("study", Study), read("dataset.source", str)
    lines = []
    if not Path(path := read("dataset.folder.path", str)).exists():
        wanted = "name a folder or an archive" if source == "folder" else "DVC watches it whatever the source is"
        lines.append(f"params.yaml: dataset.folder.path = {path} does not exist; {wanted}")
    elif Path(path).is_dir():
        lines += [
            f"{file}: {access_error(file)}; DVC, which watches this folder, stops at it: mend or remove it"
            for file, _ in walk_files(Path(path))
            if access_error(file)
        ]
    for name in study.networks:
        network = network_named(name)
        make_weights_folder(name)
        lines += network_contradictions(
            network, settings_of(network), read("prepare", prepare.PrepareSettings).image_size
        )
    if lines:
        raise UserError(*lines)


def network_contradictions(network: Network[Any], settings: Training, size: int) -> Iterator[str]:
    """Yield a line for each setting that does not suit a network."""
    key = f"params.yaml: networks.{network.name}"
    if settings.weights == "none" and settings.freeze != "none":
        yield f"{key}.freeze = {settings.freeze}, but there is nothing to keep: weights = none"
    if size < network.smallest_image:
        yield f"params.yaml: prepare.image_size = {size}, but {network.name} needs {network.smallest_image} or more"
    elif settings.weights != "none":
        yield from problems_of(partial(check_weights, network, settings, size))


def check_weights(network: Network[Any], settings: Training, size: int) -> None:
    """Raise UserError where the weights that a network starts from are not known, or are a file that does not fit."""
    from stages.networks.common.pretrained import (  # torch, which takes seconds to import
        expected_input,
        load_pretrained,
    )

    expected = expected_input(network, settings)
    if Path(settings.weights).suffix:
        load_pretrained(network.build(settings, 2, expected.image_size or size), settings.weights, network)


def size_of_study() -> Size:
    """Return what the study's needs of memory and disk follow from; no images where nobody knows their number."""
    study, source = read("study", Study), read("dataset.source", str)
    synthetic = read("dataset.synthetic", fetch.source_module("synthetic").Settings)
    counts: dict[str, Callable[[], tuple[int, int]]] = {
        "folder": lambda: images_in(Path(read("dataset.folder.path", str))),
        "synthetic": lambda: (synthetic.species * synthetic.images_per_class, 0),
        "cub_200_2011": lambda: (11_788, 1_200_000_000),
        "tiny_imagenet_200": lambda: (110_000, 240_000_000),
    }
    images, source_bytes = counts.get(source, lambda: (0, 0))()
    settings = [settings_of(network_named(name)) for name in study.networks]
    return Size(
        images,
        source_bytes,
        image_size=read("prepare", prepare.PrepareSettings).image_size,
        copies=read("augment", augment.AugmentSettings).copies if "augmented" in study.data else 0,
        batch_size=max(each.batch_size for each in settings),
        parameters=LARGEST_NETWORK,
        runs=len(study.configurations()) * len(study.seeds),
    )


def make_weights_folder(name: str) -> None:
    """Make the folder for a network's files of weights, on which tune and train depend, where it is missing."""
    path = Path(f"data/pretrained/{name}/README.md")
    if not path.parent.is_dir():
        write_text(
            path,
            f"Put files with weights for {name} here (.safetensors, .pt or .pth) and name one as"
            f" `networks.{name}.weights` in params.yaml.\n",
        )


if __name__ == "__main__":
    run_stage(main)
