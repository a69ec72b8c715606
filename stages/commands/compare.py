"""Compare two finished studies: `make compare WITH=birds-200`, a branch, tag, commit or experiment.

python -m stages.commands.compare birds-200
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from math import hypot
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from stages.commands.dvc import dvc_output
from stages.commands.revisions import git, resolved
from stages.reporting.comparisons import (
    BETTER,
    EQUAL,
    NOT_TESTED,
    SAME,
    UNDECIDED,
    WORSE,
    Interval,
    Judgement,
    Outcomes,
    interval_at,
    judge_all,
    outcomes_of,
)
from stages.reporting.findings import PUBLISHED, Finding, formatted, verdict
from stages.reporting.markdown import bounds, percent, table
from stages.reporting.records import Records, classes_of, records_of_study
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.files import parse_json
from stages.runtime.study import Configuration, Study
from stages.runtime.yaml_files import read_yaml
from stages.statistics.accuracies import accuracies, equal_classes
from stages.statistics.contrasts import mean_gain
from stages.statistics.differences import POINT, intervals
from stages.statistics.estimates import ALPHA

HERE = "here"
OTHER_IMAGES = (
    "The test images differ, so none of the two studies is better or worse: each accuracy is of its own images.\n"
    "To learn what a change is worth, run both studies on the same images."
)
BIRDS = "cub_200_2011"
CLAIM = "On more classes the gap to ResNet50 widens"


class FinishedStudy(NamedTuple):
    """A study that has run: its settings and its records."""

    params: dict[str, Any]
    records: Records
    is_of_the_published: bool  # its report speaks of the published study, which was of birds


def main(revision: str = "") -> None:
    """Compare the study in this folder with that of a Git revision: what differs, and what each run gained by it."""
    if not revision:
        raise UserError(
            "WITH= is missing; name the branch, tag, commit or experiment of another study: make compare WITH=birds-200"
        )
    here, there = study_of(in_folder, HERE), study_of(partial(in_revision, resolved(revision) or revision), revision)
    if edited := edited_settings():
        print(
            f"warning: nothing has run here since {', '.join(edited)} changed in params.yaml: the results here are of"
            " the settings before; run `dvc repro`",
            file=sys.stderr,
        )
    studies = {HERE: here, revision: there}
    print(described(studies))
    if count := different_labels(here.records, there.records):
        print(f"\nTest labels that differ: {count:,}. Both studies are judged by those here.")
        there = there._replace(records=relabelled(there.records, here.records))
    if not same_images(here.records, there.records):
        print(f"\n{OTHER_IMAGES}")
    print("\n" + different_settings(studies))
    print("\n" + side_by_side(here, there, revision))
    if here.is_of_the_published and there.is_of_the_published:
        found = lead_over_classes(here.records, there.records)
        print(f"\n{found.claim}: {found.verdict}\n{found.numbers}")


def edited_settings() -> list[str]:
    """Return the sections of params.yaml that have changed since the stages that read them ran, as DVC knows."""
    if not Path("dvc.lock").is_file():
        return []
    status = json.loads(dvc_output("status", "--json")).values()
    changes = (change for stage in status for change in stage if isinstance(change, dict))
    return sorted({key for change in changes for key in change.get("changed deps", {}).get("params.yaml", {})})


def in_folder(path: str) -> str:
    """Return a file's text."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None


def in_revision(revision: str, path: str) -> str:
    """Return a file's text as a Git revision has it."""
    # from this folder, which may lie deep in a repository
    shown = git("show", "--end-of-options", f"{revision}:./{path}")
    if shown.returncode:
        said = shown.stderr.strip().removeprefix("fatal: ")
        raise UserError(f"Git has no {path} of {revision} ({said}); is its study finished and committed?")
    return shown.stdout


def study_of(text: Callable[[str], str], name: str) -> FinishedStudy:
    """Return a study, from what gives the text of its files."""
    try:
        params = params_of(text("params.yaml"))
        study, asked = Study(**params["study"]), params["report"]["published_study"]
        published = params["dataset"]["source"] == BIRDS if asked == "auto" else bool(asked)
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise UserError(f"params.yaml of {name} has no sections that this version reads: {error}") from None
    try:
        records = records_of_study(study, lambda path: parse_json(text(path), path))
    except UserError as problem:
        raise UserError(*(f"{name}: {line}" for line in problem.lines)) from None
    return FinishedStudy(params, records, published)


def params_of(text: str) -> dict[str, Any]:
    """Return the settings that a params.yaml holds, read as every one is, whichever branch it comes from."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(text, encoding="utf-8")
        params: dict[str, Any] = read_yaml(file)
    return params


def described(studies: Mapping[str, FinishedStudy]) -> str:
    """Return what each study is of, a line each."""
    lines = []
    for name, study in studies.items():
        _, seeds, images = outcomes_of(study.records).correct.shape
        seeded = "1 seed" if seeds == 1 else f"{seeds} seeds"
        lines.append(f"{name}: {len(classes_of(study.records))} classes, {images:,} test images, {seeded}")
    return "\n".join(lines)


def different_settings(studies: Mapping[str, FinishedStudy]) -> str:
    """Return the settings in which the studies differ, as a table."""
    first, second = (flattened(study.params) for study in studies.values())
    names = [name for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name)]
    if not names:
        return "All settings are the same."
    rows = [[name, *(str(each.get(name, "–")) for each in (first, second))] for name in names]
    return table(["setting", *studies], rows, left=3)


def flattened(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their full names: training.epochs."""
    found: dict[str, Any] = {}
    for name, value in section.items():
        found |= flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def side_by_side(here: FinishedStudy, there: FinishedStudy, name: str) -> str:
    """Return the accuracy of each configuration in each study and, where both have it, the difference."""
    ours, theirs = here.records, there.records
    keys = list(dict.fromkeys([*ours, *theirs]))
    one, other = outcomes = comparable(ours, theirs)
    shown = [dict(zip(each.configurations, _accuracies(each), strict=True)) for each in outcomes]
    both = [key for key in keys if key in ours and key in theirs]
    columns, note = [one.measure, HERE, name], "No run is in both studies."
    rows = [[str(key), *(each.get(key, "–") for each in shown)] for key in keys]
    if both and not same_images(ours, theirs):
        columns, note = [*columns, "difference"], f"Differences in points, {HERE} minus {name}, of independent studies."
        found = {key: formatted(each.gain) for key, each in unpaired(other, one, both).items()}
        rows = [[*row, found.get(key, "–")] for key, row in zip(keys, rows, strict=True)]
    elif both:
        judged = unpaired(other, one, both) if one.seeds != other.seeds else paired(ours, theirs, both)
        columns = [*columns, "difference", "here is"]
        told = {key: _told(each) for key, each in judged.items()}
        rows = [[*row, *told.get(key, ["–", "–"])] for key, row in zip(keys, rows, strict=True)]
        note = "The test images are the same: differences are paired."
        if one.seeds != other.seeds:
            note = "The numbers of seeds differ: the studies are held for independent of each other."
        note += f" Differences in points, {HERE} minus {name}; their intervals hold all together."
    return table(columns, rows) + "\n\n" + note


def comparable(*studies: Records) -> list[Outcomes]:
    """Return the outcomes of studies by one measure: where one of them lets classes count alike, in both they do."""
    outcomes = [outcomes_of(records) for records in studies]
    if any(each.weights is not None for each in outcomes):
        outcomes = [each._replace(weights=equal_classes(each.labels)) for each in outcomes]
    return outcomes


def _accuracies(outcomes: Outcomes) -> list[str]:
    found = accuracies(outcomes.correct, outcomes.groups, outcomes.weights)
    each = (interval_at(found, row) for row in range(len(outcomes.configurations)))
    return [f"{percent(one.mean)} ({bounds(one.low, one.high)})" for one in each]


def _told(judgement: Judgement) -> list[str]:
    same = judgement.verdict == SAME
    return ["0", "the same on each image"] if same else [formatted(judgement.gain), judgement.verdict_in_words]


def same_images(first: Records, second: Records) -> bool:
    """Return whether studies have the same test images, and the same classes to name them by."""
    heads = [next(iter(records.values())) for records in (first, second)]
    alike = [{record["test_images_sha256"] for record in records} for records in heads]
    return alike[0] == alike[1] and classes_of(first) == classes_of(second)


def different_labels(first: Records, second: Records) -> int:
    """Return how many of the same test images have another label in the second study, as after `make labels`."""
    if not same_images(first, second):
        return 0
    labels = [next(iter(records.values()))[0]["labels"].split() for records in (first, second)]
    return sum(one != other for one, other in zip(*labels, strict=True))


def relabelled(records: Records, others: Records) -> Records:
    """Return a study's records as if its test images had the labels of another one's."""
    labels = next(iter(others.values()))[0]["labels"]
    return {key: [record | {"labels": labels} for record in of_seeds] for key, of_seeds in records.items()}


def paired(here: Records, there: Records, keys: list[Configuration]) -> dict[Configuration, Judgement]:
    """Return what each configuration gained here over there on the same images, all judged together.

    Runs that name each image alike are the same, whatever else their records say.
    """
    named_there = {key._replace(network=f"{key.network} there"): there[key] for key in keys}
    (outcomes,) = comparable(named_there | {key: here[key] for key in keys})
    named_alike = [[record["predicted"] for record in side[key]] for side in (there, here) for key in keys]
    outcomes = outcomes._replace(runs=np.array([named_alike.index(each) for each in named_alike]))
    count = len(keys)
    named = {key: np.eye(2 * count)[count + row] - np.eye(2 * count)[row] for row, key in enumerate(keys)}
    return judge_all(outcomes, named)[0]


def unpaired(there: Outcomes, here: Outcomes, keys: list[Configuration]) -> dict[Configuration, Judgement]:
    """Return what each configuration gained here over there, of studies that are independent of each other."""
    before, after = (
        side._replace(correct=side.correct[[side.configurations.index(key) for key in keys]]) for side in (there, here)
    )
    return {key: independent(before, after, np.eye(len(keys))[row], len(keys)) for row, key in enumerate(keys)}


def lead_over_classes(first: Records, second: Records) -> Finding:
    """Say whether ResNet50's lead over the own CNN is larger in the study of more classes, by what both tried."""
    few, many = sorted((first, second), key=lambda records: len(classes_of(records)))
    counts = [len(classes_of(records)) for records in (few, many)]
    if counts[0] == counts[1]:
        return Finding(CLAIM, NOT_TESTED, f"both studies have {counts[0]} classes")
    own = [key for key in few if key.network == PUBLISHED[0]]
    pairs = [(key, other) for key in own if (other := key._replace(network=PUBLISHED[1])) in few]
    pairs = [pair for pair in pairs if all(key in many for key in pair)]
    if not pairs:
        needed = "it takes own_cnn and resnet50 in both studies, with hyperparameters and data in common"
        return Finding(CLAIM, NOT_TESTED, needed)
    keys = [key for pair in pairs for key in pair]
    outcomes = [outcomes_of({key: records[key] for key in keys}) for records in (few, many)]
    numbered = [(2 * row, 2 * row + 1) for row in range(len(pairs))]
    contrast = mean_gain(numbered, np.arange(len(keys)))
    assert contrast is not None  # noqa: S101 - two networks are never the same run
    gaps = [interval_at(intervals(each.estimates(contrast[None])), 0) for each in outcomes]
    judgement = independent(outcomes[0], outcomes[1], contrast)
    told = [f"{count} classes {formatted(gap)}" for count, gap in zip(counts, gaps, strict=True)]
    alike = ", ".join("-".join(key[1:]) for key, _ in pairs)
    numbers = (
        f"ResNet50's accuracy less the own CNN's ({alike}), in points: {', '.join(told)};"
        f" difference {formatted(judgement.gain)}"
    )
    return Finding(CLAIM, verdict(judgement), numbers)


def independent(first: Outcomes, second: Outcomes, contrast: Any, tests: int = 1) -> Judgement:
    """Return how much larger a contrast is in the second study: each has images and seeds of its own.

    Source of the interval: Zou and Donner, Construction of confidence limits about effect measures, 2008.
    """
    alpha = ALPHA / tests
    sides = [interval_at(intervals(each.estimates(contrast[None]), alpha), 0) for each in (first, second)]
    mean = sides[1].mean - sides[0].mean
    low = mean - hypot(sides[1].mean - sides[1].low, sides[0].high - sides[0].mean)
    high = mean + hypot(sides[1].high - sides[1].mean, sides[0].mean - sides[0].low)
    said = EQUAL if low > -POINT and high < POINT else BETTER if low > 0 else WORSE if high < 0 else UNDECIDED
    return Judgement(Interval(mean, low, high), float("nan"), said, min(first.seeds, second.seeds))


if __name__ == "__main__":
    run_stage(main)
