"""The model card of the best run: what whoever is given the network should know of it.

Source of the sections: Mitchell et al., Model cards for model reporting, 2019, as Hugging Face's cards have them.
"""

from stages.reporting.analysis import Analysis
from stages.reporting.answer import baseline
from stages.reporting.calibration import calibration_sentence
from stages.reporting.comparisons import class_estimates, confusion_of, is_head
from stages.reporting.costs import Costs
from stages.reporting.data_summary import DataSummary, learned_by_heads
from stages.reporting.insight import Insight, doubtful_share
from stages.reporting.markdown import bounds, duration, escaped, percent, table
from stages.reporting.records import Records, classes_of, means, metric_names
from stages.statistics.estimates import Integers

ALL_CLASSES = 40  # up to which each class is listed; of more, the best and the worst
BEST_AND_WORST = 10


def model_card(records: Records, costs: Costs, analysis: Analysis, images: DataSummary, insight: Insight) -> str:
    """Return the card as Markdown with the header that model hubs read."""
    best, classes = analysis.best, classes_of(records)
    took, record, head = costs[best], records[best][0], is_head(records[best])
    threshold = record["none_of_these_below"]
    rejected = "`classify --none-of-these` says so where an image is unlike those it learned from, which is no proof."
    if threshold is None:
        rejected = "There were too few validation images to say which are unlike those it learned from."
    return "\n\n".join(
        [
            "---\npipeline_tag: image-classification\ntags: [image-classification]\nmetrics: [accuracy]\n---",
            f"# {best}",
            f"A network that names one of {len(classes)} classes for a photograph; of {len(records)} configurations of"
            f" a study it had the highest test {analysis.outcomes.measure}. metrics/report.md has all of them.",
            "## Trained on",
            f"{_learned(images, head=head)}. Licence of the images: {escaped(images.licence)}."
            + (f" Doubtful labels: {doubtful_share(insight.found)}." if insight.found else ""),
            f"{'A head' if head else _epochs(took['epochs'])}, {duration(took['seconds'])} on {took['device']} in"
            f" {took['precision']}; {took['parameters'] / 1e6:.2f} million parameters. Settings: params.yaml;"
            f" hyperparameters: data/hyperparameters/{best.network}/{best.hyperparameters}.json.",
            "## How well it does",
            _quality(records, analysis),
            _by_class(confusion_of(record), classes),
            "## Can its probabilities be believed?",
            f"Those that `classify` gives, the logits divided by the temperature {record['temperature']:.2f}, are"
            f" on test images {calibration_sentence(records[best])}.",
            "## What it must not be used for",
            "- Images of anything else: it names one of its classes for whatever it is shown. "
            f"{rejected}\n"
            "- Images of another kind than those it was tested on (another camera, season, place or selection): its"
            " accuracy there is not known.\n"
            "- Decisions about people, health or safety, and any without a person who checks the answers.",
        ]
    ) + "\n"  # fmt: skip


def _learned(images: DataSummary, *, head: bool) -> str:
    """Return which images it learned from, and which chose among its settings or epochs."""
    training, validation = (images.splits[name]["images"] for name in ("original", "validation"))
    source = f"images of source `{images.source}`"
    if images.source == "synthetic":
        source += ", which this project draws itself: it has never seen a photograph"
    if head:
        return f"{learned_by_heads(images):,} training and validation {source}; its backbone stayed as it was"
    return f"{training:,} {source}; {validation:,} others chose its best epoch"


def _epochs(number: float) -> str:
    return f"{number:.0f} epoch{'s' * (round(number) != 1)}"


def _quality(records: Records, analysis: Analysis) -> str:
    averaged, found = (
        means(records[analysis.best], [*metric_names(records), "temperature_scaled_loss"]),
        analysis.corrected,
    )
    seeds = f", mean of {analysis.outcomes.seeds} seeds" if analysis.outcomes.seeds > 1 else ""
    top = (
        f"; the class is among its best five in {percent(averaged['top5_accuracy'])}"
        if "top5_accuracy" in averaged
        else ""
    )
    corrected = ", corrected for being the best of several" if len(analysis.distinct()) > 1 else ""
    return (
        f"{analysis.outcomes.measure.capitalize()} {percent(found.mean)} ({bounds(found.low, found.high)}{corrected})"
        f" on {analysis.outcomes.correct.shape[2]:,} test images that no training saw{seeds}{top}; macro F1"
        f" {averaged['macro_f1']:.3f}, cross entropy {averaged['temperature_scaled_loss']:.3f}."
        f" It must beat {baseline(analysis)}."
    )


def _by_class(confusion: Integers, classes: list[str]) -> str:
    """Return a table of classes, whose estimate draws those of few images towards the mean of all."""
    rows = [
        [escaped(classes[label]), f"{correct} of {confusion[label].sum()}", percent(estimate.mean)]
        for label, correct, estimate in class_estimates(confusion)
    ]
    if len(rows) > ALL_CLASSES:
        rows = rows[:BEST_AND_WORST] + rows[-BEST_AND_WORST:]
    return table(["class", "correct", "estimate"], rows)
