"""Put two finished studies side by side: `make compare WITH=birds-200`, a branch, tag or commit.

python -m stages.commands.compare birds-200
"""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from math import hypot
from pathlib import Path

import yaml
from pydantic import ValidationError

from stages.reporting.findings import NOT_TESTED, PUBLISHED, Finding, formatted, verdict
from stages.reporting.markdown import percent, table
from stages.reporting.records import classes_of
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError
from stages.runtime.study import Configuration, Study
from stages.statistics.comparisons import (
    Contrast,
    Judgement,
    Records,
    accuracy_of,
    answers,
    combined,
    grid_of,
    spread_of,
    verdict_of,
)
from stages.statistics.intervals import Interval, doubt_of, interval

HERE = "here"
CLAIM = "On more classes the gap to ResNet50 widens"


def main(revision: str = "") -> None:
    """Compare the study in this folder with that of a Git revision; print both, and what becomes of the gap."""
    if not revision:
        raise UserError(
            "WITH= is missing; name the branch, tag or commit of another study: make compare WITH=birds-200"
        )
    studies = {HERE: records_of(in_folder, HERE), revision: records_of(partial(in_revision, revision), revision)}
    print(side_by_side(studies))
    found = gap_widens(*studies.values())
    print(f"\n{found.claim}: {found.verdict}\n{found.numbers}")


def in_folder(path: str) -> str:
    """Return a file's text."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; `dvc repro` makes it") from None


def in_revision(revision: str, path: str) -> str:
    """Return a file's text as a Git revision has it."""
    words = [
        "git",
        "show",
        "--end-of-options",
        f"{revision}:./{path}",
    ]  # from this folder, which may lie deep in a repository
    shown = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603 - no shell, no options
    if shown.returncode:
        said = shown.stderr.strip().removeprefix("fatal: ")
        raise UserError(f"Git has no {path} of {revision} ({said}); is its study finished and committed?")
    return shown.stdout


def records_of(text: Callable[[str], str], name: str) -> Records:
    """Return the records of a study's runs, from what gives the text of its files."""
    try:
        study = Study(**yaml.safe_load(text("params.yaml"))["study"])
    except (KeyError, TypeError, ValidationError, yaml.YAMLError) as error:
        raise UserError(f"params.yaml of {name} has no section study that this version reads: {error}") from None
    records = {
        configuration: [json.loads(text(f"metrics/runs/{configuration}-{seed}.json")) for seed in study.seeds]
        for configuration in study.configurations()
    }
    if any("correct" not in record for each in records.values() for record in each):
        raise UserError(f"the records of {name} are of an earlier version; `dvc repro` there makes them anew")
    return records


def side_by_side(studies: dict[str, Records]) -> str:
    """Return what each study is of, and the accuracy of each configuration in each; a dash where it took no part."""
    lines = []
    for name, records in studies.items():
        seeds, images = answers(next(iter(records.values()))).shape
        seeded = "1 seed" if seeds == 1 else f"{seeds} seeds"
        lines.append(f"{name}: {len(classes_of(records))} classes, {images:,} test images, {seeded}")
    configurations = list(dict.fromkeys(key for records in studies.values() for key in records))
    rows = [[str(key), *(shown(records, key) for records in studies.values())] for key in configurations]
    return "\n".join(lines) + "\n\n" + table(["accuracy", *studies], rows)


def shown(records: Records, configuration: Configuration) -> str:
    """Return a configuration's accuracy with its interval, a dash where it took no part."""
    if configuration not in records:
        return "–"
    sure = accuracy_of(records, configuration)
    return f"{percent(sure.mean)} ({100 * sure.low:.1f}–{100 * sure.high:.1f})"


def gap_widens(first: Records, second: Records) -> Finding:
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
    contrast = combined((1 / len(pairs), {own: -1.0, resnet: 1.0}) for own, resnet in pairs)
    gaps = [interval(grid_of(records, contrast), spread_of(records, contrast)) for records in (few, many)]
    judgement = judged(few, many, contrast)
    told = [f"{count} classes {formatted(gap)}" for count, gap in zip(counts, gaps, strict=True)]
    alike = ", ".join("-".join(key[1:]) for key, _ in pairs)
    numbers = (
        f"ResNet50's accuracy less the own CNN's ({alike}), in points: {', '.join(told)};"
        f" difference {formatted(judgement.gain)}, p {judgement.p_value:.2g}"
    )
    return Finding(CLAIM, verdict(judgement), numbers)


def judged(few: Records, many: Records, contrast: Contrast) -> Judgement:
    """Return how much larger a contrast is in the second study: each has images and seeds of its own.

    Source of the interval: Zou and Donner, Construction of confidence limits about effect measures, 2008.
    """
    spreads = [spread_of(records, contrast) for records in (few, many)]
    first, second = (
        interval(grid_of(records, contrast), sure) for records, sure in zip((few, many), spreads, strict=True)
    )
    mean = second.mean - first.mean
    low = mean - hypot(second.mean - second.low, first.high - first.mean)
    high = mean + hypot(second.high - second.mean, first.mean - first.low)
    gain, p_value = Interval(mean, low, high), doubt_of(abs(mean), *spreads)
    seeds = min(sure.shape[0] for sure in spreads)
    return Judgement(gain, p_value, verdict_of(gain, p_value), seeds, "")


if __name__ == "__main__":
    run_stage(main)
