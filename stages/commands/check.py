"""Check all that can be known before anything runs; each stage checks its own sections as well."""

import difflib
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, NonNegativeInt, create_model

from stages import augment, fetch, prepare, report
from stages.commands.dvc import dvc_output
from stages.commands.estimate import Size, images_in, largest_pixels, warnings_about
from stages.datasets.common.folders import CIRCLE, access_error, unwatched, walk_with_errors
from stages.networks.common.contract import NetworkDefinition, network_named, network_names
from stages.networks.common.settings import OnlineAugmentation, Search, TrainingSettings
from stages.runtime.command import run_stage
from stages.runtime.config import Section, read_merged_section, read_section, section_names
from stages.runtime.errors import UserError
from stages.runtime.files import missing
from stages.runtime.guard import PARAMS, PIPELINE
from stages.runtime.lock_file import forget_stages, mend_lock_file, mend_locked_paths
from stages.runtime.pipeline import left_in_study, remove_leftovers, stage_names, time_left
from stages.runtime.study import Study
from stages.runtime.study_log import seconds_of_stages
from stages.runtime.yaml_files import read_yaml

LOCK, RAW = Path("dvc.lock"), Path("data/raw")
NOTE = Path("data/pictures/README.md")  # Git has it, and .dvcignore
USUAL_INPUT = 224  # pixels a side, of networks that ImageNet has trained
LARGEST_NETWORK = 28_000_000  # parameters: of those in stages/networks, ConvNeXt-Tiny's
SCHEMAS: dict[str, Any] = {
    "seed": NonNegativeInt,
    "study": Study,
    "dataset": fetch.Dataset,
    "prepare": prepare.PrepareSettings,
    "augment": augment.AugmentSettings,
    "online_augmentation": OnlineAugmentation,
    "report": report.Settings,
}
SECTIONS = (*SCHEMAS, "search", "training", "networks")


def main() -> None:
    """Read every section through its schema, look at networks and files; raise one UserError with all mistakes.

    What a kill has left of dvc.lock and of DVC's list of locked paths is mended first, for DVC would stop at it. Where
    all is well, what is left in data/ of runs that the study no longer names is removed, and from dvc.lock what cannot
    come back without running, and options that `dvc repro` needs are printed.
    """
    mend_locked_paths()
    if mended := mend_lock_file():
        print(f"warning: {mended}", file=sys.stderr)
    lines = [
        f"params.yaml: {name} is no section; there are {', '.join(SECTIONS)}"
        for name in section_names()
        if name not in SECTIONS
    ]
    sources = {f"dataset.{name}": fetch.source_module(name).Settings for name in fetch.source_names()}
    for key, schema in (SCHEMAS | sources).items():
        lines += error_lines(partial(read_section, key, schema))
    lines += network_faults()
    lines += error_lines(check_contradictions) if not lines else []
    if lines:
        raise UserError(*dict.fromkeys(lines))
    stages, params = read_yaml(PIPELINE)["stages"], read_yaml(PARAMS)
    remove_leftovers(stages, params)
    locked, folder = cache(lambda: read_yaml(LOCK)["stages"]), cache(lambda: Path(dvc_output("cache", "dir").strip()))
    forget_stages(lambda name: left_in_study(stages, params, name) or is_in_cache(locked()[name], folder()))
    if left := time_left(names := stage_names(stages, params), seconds_of_stages()):
        print(f"{len(names)} stages: {left} if all of them run, going by their last times here", file=sys.stderr)
    watched = Path(read_section("dataset.folder.path", str))
    for line in [*filter(None, [unwatched(watched)]), *warnings_about(size_of_study())]:
        print(f"warning: {line}", file=sys.stderr)
    if options := repro_options():
        pass_over(watched)
        if changed := changes_of_fetch(watched):
            raise UserError(
                f"{watched} has no images here, and {', '.join(changed)} has changed, for which fetch must run again;"
                " bring the images back, or take the change back: data/raw would be lost"
            )
        print(*options)


def is_in_cache(locked: dict[str, Any], folder: Path) -> bool:
    """Say whether DVC's cache has all that dvc.lock has of a stage: put back into the study, it need not run."""
    digests = [out["md5"] for out in locked.get("outs", [])]
    return all((folder / "files/md5" / digest[:2] / digest[2:]).exists() for digest in digests)


def repro_options() -> list[str]:
    """Return what tells `dvc repro` to go on without the images, where they are elsewhere and data/raw is here."""
    path = Path(read_section("dataset.folder.path", str))
    return ["--allow-missing"] if RAW.is_dir() and images_fetched(path) and is_without_images(path) else []


def changes_of_fetch(path: Path) -> list[str]:
    """Return which settings, code and files of the stage fetch have changed since it ran, but for the images' path."""
    found: list[str] = []
    for change in json.loads(dvc_output("status", "--json", "fetch")).get("fetch", []):
        kinds = change.values() if isinstance(change, dict) else [{change: ""}]  # else that of the command, in words
        for name, kind in (entry for each in kinds for entry in each.items()):
            found += kind if isinstance(kind, dict) else [name]
    return [name for name in found if Path(name) != path]


def images_fetched(path: Path) -> int:
    """Return from how many files of this folder the study was made, here or by whoever committed dvc.lock."""
    lock = read_yaml(LOCK) if LOCK.is_file() else {}
    fetched = (lock.get("stages") or {}).get("fetch", {})
    return next((dep.get("nfiles", 1) for dep in fetched.get("deps", []) if dep["path"] == str(path)), 0)


def is_without_images(path: Path) -> bool:
    """Say whether the source is missing, or a folder that holds but the note that Git has of it."""
    if not path.exists() or read_section("dataset.source", str) != "folder":
        return not path.exists()
    return path == NOTE.parent and list(path.iterdir()) == [NOTE]


def pass_over(path: Path) -> None:
    """Take away a folder that holds but a note: DVC passes over what is missing, and runs fetch where files differ."""
    if path.is_dir():
        NOTE.unlink()
        path.rmdir()
    print(f"warning: {path} has no images here: the study goes on with data/raw", file=sys.stderr)


def error_lines(check: Callable[[], object]) -> list[str]:
    """Return the lines of the UserError that a check raises, if any."""
    try:
        check()
    except UserError as problem:
        return list(problem.lines)
    return []


def network_faults() -> list[str]:
    """Return a line for each mistake in the settings or the file of a network that params.yaml speaks of."""
    try:
        sections = read_section("networks", dict[str, dict[str, Any] | None])
        named = read_section("study.networks", list[str])
    except UserError as problem:
        return list(problem.lines)
    fields: dict[str, Any] = dict.fromkeys(network_names(), (dict[str, Any] | None, None))
    lines = error_lines(partial(read_section, "networks", create_model("Networks", __base__=Section, **fields)))
    lines += error_lines(partial(read_section, "study.networks", list[Annotated[str, AfterValidator(_existing)]]))
    for name in (each for each in dict.fromkeys([*sections, *named]) if each in fields):
        lines += error_lines(partial(check_settings, name))
        lines += error_lines(partial(read_merged_section, "search", Search, f"networks.{name}.search", Search))
    return lines


def _existing(network: str) -> str:
    if network not in (names := network_names()):
        close = difflib.get_close_matches(network, names, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
        raise ValueError(f"stages/networks/{network}.py is missing; {meant}")
    return network


def check_settings(name: str) -> None:
    """Raise UserError where a network's file or its settings are wrong."""
    settings_of(network_named(name))


def settings_of(network: NetworkDefinition[Any]) -> TrainingSettings:
    """Return a network's settings, as params.yaml has them for all networks and for this one."""
    key = f"networks.{network.name}"
    settings: TrainingSettings = read_merged_section(
        "training", TrainingSettings, key, network.schema, besides=["search"]
    )
    return settings


def check_contradictions() -> None:
    """Raise UserError for each valid setting that another setting or the disk contradicts."""
    study, source = read_section("study", Study), read_section("dataset.source", str)
    lines = []
    path = Path(read_section("dataset.folder.path", str))
    fetched = images_fetched(path)
    if is_without_images(path) and (fetched or not path.exists()) and not repro_options():
        wanted = "name a folder or an archive" if source == "folder" else "DVC watches it whatever the source is"
        wanted = "`make pull` brings what was made of it" if fetched else wanted
        there = f"{path} has no images; {wanted}" if path.exists() else missing(path, wanted)
        lines.append(f"params.yaml: dataset.folder.path = {there}")
    elif fetched and source == "folder" and path.is_dir() and not any(path.iterdir()):
        lines.append(
            f"params.yaml: dataset.folder.path = {path} is empty, and the study was made from {fetched:,} files there;"
            " is a disk not mounted? Without the folder, the study goes on with data/raw"
        )
    elif path.is_dir():
        lines += [
            f"{file}: {error}; DVC, which watches this folder, stops at it: mend or remove it"
            for file, error in walk_with_errors(path)
            if access_error(file) or (error and error != CIRCLE)
        ]
    for name in study.networks:
        network = network_named(name)
        lines += network_contradictions(network, settings_of(network))
    if lines:
        raise UserError(*lines)


def network_contradictions(network: NetworkDefinition[Any], settings: TrainingSettings) -> Iterator[str]:
    """Yield a line for each setting that does not suit a network."""
    key = f"params.yaml: networks.{network.name}"
    if settings.weights == "none" and settings.freeze != "none":
        yield f"{key}.freeze = {settings.freeze}, but there is nothing to keep: weights = none"
    if settings.input_size != "weights" and settings.input_size < network.smallest_image:
        yield f"{key}.input_size = {settings.input_size}, but {network.name} needs {network.smallest_image} or more"
    if Path(settings.weights).suffix and not Path(settings.weights).is_file():
        yield f"{key}.weights = {missing(settings.weights, 'name a file, the name of weights, or none')}"


def size_of_study() -> Size:
    """Return what the study's needs of memory and disk follow from; no images where nobody knows their number."""
    study, source = read_section("study", Study), read_section("dataset.source", str)
    synthetic = read_section("dataset.synthetic", fetch.source_module("synthetic").Settings)
    counts: dict[str, Callable[[], tuple[int, int]]] = {
        "folder": lambda: images_in(Path(read_section("dataset.folder.path", str))),
        "synthetic": lambda: (synthetic.species * synthetic.images_per_class, 0),
        "cub_200_2011": lambda: (11_788, 1_200_000_000),
        "tiny_imagenet_200": lambda: (110_000, 240_000_000),
    }
    images, source_bytes = counts.get(source, lambda: (0, 0))()
    settings = [settings_of(network_named(name)) for name in study.networks]
    prepared = read_section("prepare", prepare.PrepareSettings)
    pixels = largest_pixels(Path(read_section("dataset.folder.path", str)), prepared.pixel_limit)
    return Size(
        images,
        source_bytes,
        image_size=prepared.image_size,
        input_size=max((input_size_of(each) for each in settings if each.freeze != "backbone"), default=0),
        copies=read_section("augment", augment.AugmentSettings).copies if "augmented" in study.data else 0,
        batch_size=max(each.batch_size for each in settings),
        parameters=LARGEST_NETWORK,
        runs=len(study.configurations()) * len(study.seeds),
        largest_image=pixels if source == "folder" else 0,
    )


def input_size_of(settings: TrainingSettings) -> int:
    """Return pixels a side that a network sees, or where its weights say so, what nearly all of these say."""
    return USUAL_INPUT if settings.input_size == "weights" else settings.input_size


if __name__ == "__main__":
    run_stage(main)
