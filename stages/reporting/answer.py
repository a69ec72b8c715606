"""What the report opens with: the answer in plain words, the numbers it rests on, what helped, and what to try next."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.reporting.analysis import GAINS, Analysis
from stages.reporting.calibration import calibration_sentence
from stages.reporting.comparisons import in_trainings, is_head, is_pretrained
from stages.reporting.costs import Costs
from stages.reporting.data_summary import DataSummary, learned_by_heads
from stages.reporting.insight import Insight, gain_of
from stages.reporting.markdown import bounds, duration, network_name, percent
from stages.reporting.records import Records
from stages.reporting.worth import worth_lines
from stages.runtime.study import Configuration
from stages.statistics.differences import SEEDS

SMALLER = 0.8  # of the gain that a study detects: below that share of it another one is clearly smaller
ALMOST_ALL = 0.9  # accuracy above which there is little to win
FEW_IMAGES = 200  # training images a class, below which a network that starts from others' weights wins most
MANY_COPIES = 0.1  # share of test images that look like a training image, from which on scores are not to be believed
UNEQUAL = 2  # times the training images of another class, from which on classes are unequal
SMALL_INPUT = 128  # pixels a side, below which larger images are worth a try
NAMED = 6  # runs in a sentence
COUNTED_OF = (10, 100, 1000)  # images


def answer(records: Records, costs: Costs, analysis: Analysis, images: DataSummary, insight: Insight) -> list[str]:
    """Return the answer in a paragraph, the numbers it rests on and what helped, and how to use it."""
    lines = [best_line(analysis), *contenders_line(analysis), *decidable_lines(analysis)]
    lines += [
        calibration_line(records, analysis),
        *worth_lines(analysis.judged),
        *improving_line(records, costs, analysis.best),
    ]
    doubts = doubtful_labels(len(insight.doubtful), images.source)
    steps = next_steps(records, costs, analysis, images, gain_of(insight.found))
    # first where no label was learned: a network doubts much of what it has learned badly
    steps = doubts + steps if insight.found.get("frozen") else steps + doubts
    lines += [f"To try next: {line}." for line in steps]
    took = costs[analysis.best]
    memory = f"{took['peak_memory_megabytes']:,.0f} MB of memory"
    trained = "features and head take" if is_head(records[analysis.best]) else "training takes"
    cost = f"The best run's {trained} {duration(took['seconds'])} and {memory}."
    opening = " ".join([headline(records, analysis), *leakage_warning(images.splits), cost])
    used = "Use it on photographs of your own:\n\n```\n.venv/bin/classify photo.jpg folder/\n```"
    return [opening, "\n".join(f"- {line}" for line in lines), used]


def headline(records: Records, analysis: Analysis) -> str:
    """Say in words how many of ten images, or more, the best network and the best runs of others name correctly."""
    measured = analysis.balanced
    best_of_network: dict[str, Configuration] = {}
    for key in sorted(records, key=lambda key: -measured[key].mean):
        best_of_network.setdefault(key.network, key)
    first = analysis.best.network
    optimism = measured[analysis.best].mean - analysis.corrected.mean  # of whatever was best on these images
    shares = {key: max(0.0, measured[key].mean - optimism) for key in best_of_network.values()}
    shares[analysis.best] = analysis.corrected.mean
    of, unit = denominator(list(shares.values()), analysis.outcomes.correct.shape[2]), ""
    what = f"of {of:,} images correctly"
    if analysis.outcomes.weights is not None:
        of, unit, what = 100, " %", "of each class's images correctly, on average"
    most = round(of * shares[analysis.best])
    said = f"The {described(records, analysis.best)} names {most}{unit} {what}"
    others = [
        f"the {described(records, key)} {f'{named}{unit}' if (named := round(of * shares[key])) != most else 'as many'}"
        for network, key in best_of_network.items()
        if network != first
    ]
    sentence = "; ".join([said, ", ".join(others)]) if others else said
    doubt = ""
    level = {first, *(key.network for key in analysis.contenders)}
    if len(level) > 1:
        names = [f"the {network_name(network)}" for network in best_of_network if network in level]
        doubt = f" These test images cannot tell which is better: {', '.join(names[:-1])} or {names[-1]}."
    if analysis.corrected.low <= analysis.commonest:
        doubt += " That is not surely better than " + baseline(analysis) + "."
    return f"**{sentence}.**{doubt}"


def denominator(shares: Sequence[float], images: int) -> int:
    """Return of how many images to speak: as few as show no share as none or all of them, at most all there are."""
    fewer = [of for of in COUNTED_OF if of < images]
    told = (of for of in fewer if all(0.5 <= of * share < of - 0.5 for share in shares))
    return next(told, min(images, COUNTED_OF[-1]))


def described(records: Records, configuration: Configuration) -> str:
    """Return a network's name, and that it is pre-trained."""
    return ("pre-trained " if is_pretrained(records[configuration]) else "") + network_name(configuration.network)


def baseline(analysis: Analysis) -> str:
    """Return what a network must do better than."""
    if analysis.outcomes.weights is not None:
        return f"always naming the same class ({percent(analysis.commonest)})"
    return f"always naming the commonest class ({percent(analysis.commonest)})"


def leakage_warning(splits: dict[str, Any]) -> list[str]:
    """Warn where many test images look like one that was trained on."""
    share = splits["test"].get("share_copied_in_training") or 0.0
    if share <= MANY_COPIES:
        return []
    return [
        f"**But {percent(share)} of the test images look like one that was trained on, so that new images will be"
        " named worse:** set `prepare.group_by` or `prepare.near_duplicate_distance` so that copies stay in one split."
    ]


def best_line(analysis: Analysis) -> str:
    """Say how accurate the best run is, with its interval, beside what needs no network."""
    outcomes, found = analysis.outcomes, analysis.corrected
    runs, images = len(analysis.distinct()), outcomes.correct.shape[2]
    trainings = "of these trained networks" if outcomes.seeds < SEEDS else "of networks trained like these"
    choice = "; corrected for being the best of several" if runs > 1 else ""
    of = f"best of {runs} runs" if runs > 1 else "only run"
    return (
        f"Accuracy: the {of}, {analysis.label(analysis.best)}, has a{'n' if outcomes.weights is None else ''}"
        f" {outcomes.measure} of {percent(found.mean)} ({bounds(found.low, found.high)}) on {images:,} test images"
        f" ({trainings}{choice}). It must beat {baseline(analysis)}."
    )


def contenders_line(analysis: Analysis) -> list[str]:
    """Name the runs that cannot be told from the best."""
    names = [analysis.label(key) for key in analysis.contenders]
    if len(analysis.distinct()) < 2:
        return ["There is nothing to compare it with."]
    if not names:
        return [f"Every other run is surely worse{in_trainings(analysis.outcomes.seeds)}."]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"Cannot be told from the best: {', '.join(names[:NAMED])}{more}."]


def decidable_lines(analysis: Analysis) -> list[str]:
    """Say which differences this test can decide, and what smaller ones would take."""
    if not (found := analysis.decidable):
        return []
    images, seeds = analysis.outcomes.correct.shape[2], analysis.outcomes.seeds
    trained = "one seed" if seeds == 1 else f"{seeds} seeds"
    least = (
        f"{100 * found.smallest_gain:.1f} points" if np.isfinite(found.smallest_gain) else "more points than there are"
    )
    headroom, needed = 1 - analysis.corrected.mean, []
    for gain in (each for each in GAINS if each <= min(headroom, SMALLER * found.smallest_gain)):
        take = f"about {rounded_up(found.images[gain]):,} test images"
        if not np.isfinite(found.images[gain]):
            take = "more seeds, for images cannot decide it"
            take += f" (about {found.seeds[gain]})" if found.seeds[gain] else ""
        needed.append(f"a gain of {100 * gain:.0f} points takes {take}")
    said = f"detects a gain of {least} four times out of five in a typical comparison, and smaller gains less often"
    if found.smallest_gain > headroom:
        said = f"shows differences of {least} four times out of five in a typical comparison"
        said += f"; the best run leaves {100 * headroom:.1f} to gain"
    more = f" To detect smaller ones as often, {' and '.join(needed)}." if needed else ""
    return [f"Such a study ({images:,} test images, {trained} for each run) {said}.{more}"]


def calibration_line(records: Records, analysis: Analysis) -> str:
    """Say whether the best run's probabilities can be believed, beside what chance would show."""
    return f"Probabilities, as `classify` gives them: {calibration_sentence(records[analysis.best])}."


def improving(records: Records, costs: Costs) -> list[str]:
    """Return the networks some of whose trainings were best at their last epoch."""
    found = [key for key, took in costs.items() if took["best_epoch"] >= took["epochs"] and not is_head(records[key])]
    return list(dict.fromkeys(key.network for key in found))


def improving_line(records: Records, costs: Costs, best: Configuration) -> list[str]:
    """Say of networks that the best one is held against that more epochs may bring them nearer."""
    networks = [network_name(network) for network in improving(records, costs) if network != best.network]
    if not networks:
        return []
    return [f"Still improving at the last epoch, so that more epochs may narrow the gap: {', '.join(networks)}."]


def doubtful_labels(count: int, source: str) -> list[str]:
    """Offer a look at the labels that the stage insight doubts; of a folder there is a table to decide on them."""
    listed = (
        "; `make labels` makes a table to decide on them" if source == "folder" else "; data/doubtful.csv lists them"
    )
    return [f"a look at {counted(count, 'doubtful label')}{listed}"] if count else []


def counted(count: int, what: str) -> str:
    """Return a number of things in words: 1 mistake, 2 mistakes."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def next_steps(
    records: Records, costs: Costs, analysis: Analysis, images: DataSummary, gain_of_twice: str
) -> list[str]:
    """Return what is worth a try after what was done, each with its setting; more images by their gain, if known."""
    best, outcomes = analysis.best, analysis.outcomes
    settings = records[best][0]["settings"]
    learned = learned_by_heads(images) if is_head(records[best]) else images.splits["original"]["images"]
    per_class = learned / len(np.unique(outcomes.labels))
    lines = []
    trains = any(not is_head(of_seeds) for of_seeds in records.values())  # a head comes out the same from each seed
    if trains and len(analysis.distinct()) > 1 and outcomes.seeds < SEEDS:
        lines.append("`study.seeds: [1, 2, 3]`, since fewer seeds cannot show how much of a difference is chance")
    elif analysis.decidable and not np.isfinite(max(analysis.decidable.images.values())):
        lines.append("more of `study.seeds`, since seeds differ more than most techniques do")
    lines += [*more_epochs(records, costs), *balance(records, images.counts["original"])]
    if analysis.corrected.mean >= ALMOST_ALL:
        return lines + advice_near_perfect(analysis)
    if not any(is_pretrained(of_seeds) for of_seeds in records.values()):
        lines.append("a network that starts from ImageNet's weights: add `efficientnet_lite0` to `study.networks`")
    elif (size := settings["image_size"]) < SMALL_INPUT:
        lines.append(f"a larger input than {size} pixels: `networks.{best.network}.input_size: 224`")
    elif is_pretrained(records[best]) and is_head(records[best]):
        lines.append("a larger pre-trained network, by a file of three lines: docs/guides/networks.md")
    if per_class < FEW_IMAGES:
        bring = f"; with twice as many, a head on frozen features would gain {gain_of_twice}" if gain_of_twice else ""
        lines.append(f"more photographs of each class: {per_class:.0f} to learn from are few{bring}")
    return lines


def more_epochs(records: Records, costs: Costs) -> list[str]:
    """Offer twice the epochs to each network that was still improving at its last."""
    longest = {
        network: max(costs[key]["epochs"] for key in records if key.network == network)
        for network in improving(records, costs)
    }
    return [
        f"`networks.{network}.epochs: {2 * epochs:.0f}`, since its best epoch was the last of {epochs:.0f}"
        for network, epochs in longest.items()
    ]


def balance(records: Records, counts: Mapping[str, int]) -> list[str]:
    """Offer balanced batches where training images of classes are unequal, and a network trains in batches."""
    plain = [each for each in records.values() if each[0]["settings"].get("class_balance", "none") == "none"]
    fewest, most = min(counts.values()), max(counts.values())
    if most < UNEQUAL * fewest or all(map(is_head, plain)):
        return []
    return [f"`training.class_balance: sampling`, since classes have from {fewest:,} to {most:,} training images"]


def advice_near_perfect(analysis: Analysis) -> list[str]:
    """Return what is left to do where nearly all images are named correctly, if any is not."""
    outcomes = analysis.outcomes
    correct = outcomes.correct[outcomes.configurations.index(analysis.best)]
    if not (wrong := round(float((~correct).sum(axis=1).mean()))):
        return []
    told = [f"a look at the best run's {counted(wrong, 'mistake')} on the page: some may be wrong labels"]
    if analysis.decidable and analysis.decidable.smallest_gain > 1 - analysis.corrected.mean:
        told.append(f"more test images: {counted(wrong, 'mistake')} cannot tell a better run from chance")
    return told


def rounded_up(number: float) -> int:
    """Return a number with two digits that count."""
    if not np.isfinite(number):
        return 0
    unit: int = 10 ** max(0, int(np.floor(np.log10(max(1.0, number)))) - 1)
    return int(np.ceil(number / unit) * unit)
