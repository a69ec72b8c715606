"""The model card of the best run: what whoever is given the network should know of it.

Source of the sections: Mitchell et al., Model cards for model reporting, 2019, as Hugging Face's cards have them.
"""

from typing import Any

from stages.reporting.markdown import duration, escaped, percent, table
from stages.reporting.records import Costs, best_of, classes_of, means, qualities
from stages.statistics.comparisons import Records, accuracy_of

ALL_CLASSES = 40  # up to which each class is listed; of more, the best and the worst
BEST_AND_WORST = 10


def model_card(scores: Records, costs: Costs, splits: dict[str, Any], source: str, licence: str) -> str:
    """Return the card as Markdown with the header that model hubs read."""
    best, classes = best_of(scores), classes_of(scores)
    took, record = costs[best], scores[best][0]
    drawn = ", which this project draws itself: it has never seen a photograph" if source == "synthetic" else ""
    return "\n\n".join(
        [
            "---\npipeline_tag: image-classification\ntags: [image-classification]\nmetrics: [accuracy]\n---",
            f"# {best}",
            f"A network that names one of {len(classes)} classes for a photograph; of {len(scores)} configurations of a"
            " study it had the highest test accuracy. metrics/report.md has all of them.",
            "## Trained on",
            f"{splits['original']['images']:,} images of source `{source}`{drawn};"
            f" {splits['validation']['images']:,} others chose its best epoch. Licence of the images:"
            f" {escaped(licence)}.",
            f"{took['epochs']:.0f} epochs, {duration(took['seconds'])} on {took['device']} in {took['precision']};"
            f" {took['parameters'] / 1e6:.2f} million parameters. Settings: params.yaml;"
            f" hyperparameters: data/hyperparameters/{best.network}/{best.hyperparameters}.json.",
            "## How well it does",
            _quality(scores, record),
            _by_class(record["class_accuracy"], classes),
            "## Can its probabilities be believed?",
            f"On test images they are off by {percent(record['calibration_error'])} on average, and by"
            f" {percent(record['temperature_scaled_calibration_error'])} when its logits are divided by the temperature"
            f" {record['temperature']:.2f}, as `classify` does.",
            "## What it must not be used for",
            "- Images of anything else: it names one of its classes for whatever it is shown. Below a probability of"
            f" {record['none_of_these_below']:.2f} `classify --none-of-these` says so, which is no proof.\n"
            "- Images of another kind than those it was tested on (another camera, season, place or selection): its"
            " accuracy there is not known.\n"
            "- Decisions about people, health or safety, and any without a person who checks the answers.",
        ]
    ) + "\n"  # fmt: skip


def _quality(scores: Records, record: dict[str, Any]) -> str:
    best = best_of(scores)
    averaged, sure = means(scores[best], qualities(scores)), accuracy_of(scores, best)
    seeds = f", mean of {len(scores[best])} seeds" if len(scores[best]) > 1 else ""
    top = (
        f"; the class is among its best five in {percent(averaged['top5_accuracy'])}"
        if "top5_accuracy" in averaged
        else ""
    )
    return (
        f"Right in {percent(averaged['accuracy'])} ({100 * sure.low:.1f}–{100 * sure.high:.1f}) of"
        f" {record['images']:,} test images that no training saw{seeds}{top}; macro F1 {averaged['macro_f1']:.3f},"
        f" cross entropy {averaged['loss']:.3f}. Guessing is right in {percent(1 / len(record['class_accuracy']))}."
    )


def _by_class(accuracy: dict[str, float], classes: list[str]) -> str:
    ordered = sorted(classes, key=lambda name: (-accuracy[name], name))
    if len(ordered) > ALL_CLASSES:
        ordered = ordered[:BEST_AND_WORST] + ordered[-BEST_AND_WORST:]
    return table(["class", "accuracy"], [[escaped(name), percent(accuracy[name])] for name in ordered])
