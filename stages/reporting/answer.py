"""What the report opens with: which configuration is best, how sure that is, what helped, and what to try next."""

import numpy as np

from stages.reporting.findings import formatted
from stages.reporting.markdown import duration, percent
from stages.reporting.records import Costs, best_of, classes_of
from stages.reporting.sections import Judged
from stages.statistics.comparisons import (
    BETTER,
    EQUAL,
    SAME,
    SEEDS,
    UNDECIDED,
    WORSE,
    Change,
    Judgement,
    Records,
    accuracy_of,
    answers,
)
from stages.statistics.intervals import RESAMPLES, resampled

ALMOST_ALL = 0.9  # accuracy above which there is little to win
FEW_IMAGES = 200  # training images a class, below which a network that starts from others' weights wins most


def answer(scores: Records, costs: Costs, judged: Judged, training_images: int) -> list[str]:
    """Return a paragraph on the best configuration, and a list of what helped, what did not, and what is next."""
    verdicts = {
        "Better": [BETTER], "Worse": [WORSE], "No difference": [EQUAL, SAME], "Undecided": [UNDECIDED],
    }  # fmt: skip
    found = {change: each for change, each in judged.items() if isinstance(change, Change)}
    lines = []
    for said, kinds in verdicts.items():
        named = [told(change, each) for change, each in found.items() if each.verdict in kinds]
        lines += [f"- {said}: {'; '.join(named)}."] if named else []
    lines += [f"- To try next: {line}." for line in next_steps(scores, found, training_images)]
    return [best_line(scores, costs), "\n".join(lines)]


def best_line(scores: Records, costs: Costs) -> str:
    """Say which configuration is best, how sure that is, and what its training takes."""
    best = best_of(scores)
    grid, took = answers(scores[best]), costs[best]
    alike = [str(other) for other in scores if other != best and scores[other] == scores[best]]
    sure, (seeds, images) = accuracy_of(scores, best), grid.shape
    right = f"{percent(sure.mean)} of {images:,} test images right ({100 * sure.low:.1f}–{100 * sure.high:.1f})"
    cost = f"One training of it takes {duration(took['seconds'])} and {took['peak_memory_megabytes']:,.0f} MB."
    guessing = 1 / len(classes_of(scores))
    if sure.low <= guessing:
        cost = f"That is not surely better than guessing ({percent(guessing)}). {cost}"
    rivals = len({str(records) for records in scores.values()}) - 1
    if not rivals:
        return f"**{best}: {right}.** There is nothing to compare it with. {cost}"
    same = f" (the same runs: {', '.join(alike)})" if alike else ""
    share = f"{100 * share_of_wins(scores):.0f} % of {RESAMPLES:,}"
    drawn = "test images" if seeds == 1 else "test images and seeds"
    return (
        f"**The best of {rivals + 1} configurations is {best}{same}:"
        f" {right}; none is better in {share} draws of other {drawn} (bootstrap).**"
        f" {cost}"
    )


def share_of_wins(scores: Records) -> float:
    """Return the share of bootstrap samples, of images and of seeds, in which none is better than the best."""
    accuracies = np.array([resampled(answers(records)) for records in scores.values()])
    best = list(scores).index(best_of(scores))
    return float((accuracies[best] >= accuracies.max(axis=0) - 1e-6).mean())  # the same draws for all


def told(change: Change, judgement: Judgement) -> str:
    """Return a change with its gain, and with the trainings it was seen in where they are too few."""
    if judgement.verdict == SAME:
        return f"{change}, the same runs"
    limits = judgement.says.removeprefix(judgement.verdict).strip()
    return f"{change} {formatted(judgement.gain)} points" + (f", {limits}" if limits else "")


def next_steps(scores: Records, found: dict[Change, Judgement], training_images: int) -> list[str]:
    """Return what the numbers say is worth a try."""
    best = best_of(scores)
    per_class = training_images / len(classes_of(scores))
    undecided = [f"{change}: {each.needed}" for change, each in found.items() if each.needed[:1].isdigit()]
    lines = []
    if found and len(scores[best]) < SEEDS:
        lines.append(
            "`study.seeds: [1, 2, 3]`, since fewer trainings cannot say how much of a difference is chance between them"
        )
    if undecided:
        more = "test images and seeds" if len(scores[best]) > 1 else "test images"
        lines.append(f"more {more}, if what is undecided matters ({'; '.join(undecided)})")
    if accuracy_of(scores, best).high < ALMOST_ALL and per_class < FEW_IMAGES:
        lines.append(
            "starting from weights that were trained on other images (docs/transfer.md), where these runs did not,"
            f" and larger images (`prepare.image_size`): {per_class:.0f} training images a class are few"
        )
    return lines
