"""The report as one page of HTML: what report.md says, with charts and images beside it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.images.shards import SPLITS
from stages.reporting import charts, search_charts
from stages.reporting.analysis import Analysis
from stages.reporting.blocks import Block, PageImage, breakable, embedded, html, titled
from stages.reporting.calibration import FEWEST_A_POINT, reliability
from stages.reporting.comparisons import NOT_TESTED, Change, confusion_of, is_head
from stages.reporting.costs import Costs
from stages.reporting.insight import Insight
from stages.reporting.insight_page import INSIGHT_SECTIONS
from stages.reporting.markdown import duration, network_name
from stages.reporting.records import Records, classes_of, means, metric_names
from stages.reporting.search import losses, values_tried
from stages.reporting.sections import best_epoch
from stages.reporting.worth import shown_judgements

Markdown = Mapping[str, Sequence[str]]  # what report.md says, by section: paragraphs, tables and headings


class Evidence(NamedTuple):
    """What the page is made of."""

    markdown: Markdown
    records: Records
    costs: Costs
    analysis: Analysis
    histories: Mapping[str, Mapping[str, Sequence[float]]]  # of each run: accuracy and loss on validation by epoch
    counts: Mapping[str, Mapping[str, int]]  # of each split: images of each class
    trials: Mapping[str, Sequence[Mapping[str, str]]]  # of each network: the rows of its search's trials.csv
    samples: Sequence[tuple[bytes, str]]  # training images with their class
    examples: Sequence[Mapping[str, Any]]  # the rows of the best run's examples.parquet
    copies: Sequence[tuple[bytes, bytes, str]]  # an original, an altered copy, and what was drawn for it
    insight: Insight


def page(evidence: Evidence) -> str:
    """Return the page; the same evidence gives the same bytes."""
    sections = [(name, blocks) for name, make in SECTIONS.items() if (blocks := list(make(evidence)))]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    template = environment.get_template("page.html")
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    return template.render(title=title(evidence.records), sections=sections, scripts=scripts)


def title(records: Records) -> str:
    """Return what was compared, and on how many classes."""
    axes = [list(dict.fromkeys(values)) for values in zip(*records, strict=True)]
    networks = " or ".join(map(network_name, axes[0]))
    others = [" or ".join(values) for values in axes[1:] if len(values) > 1]
    compared = ", ".join([networks[0].upper() + networks[1:], *others])
    return f"{compared}{'?' if len(records) > 1 else ':'} {len(classes_of(records))} classes of images"


def report_section(evidence: Evidence, name: str) -> Iterator[Block]:
    """Yield what report.md says in a section."""
    if any(evidence.markdown.get(name, ())):
        yield Block(text=html("\n\n".join(part for part in evidence.markdown[name] if part)))


def results(evidence: Evidence) -> Iterator[Block]:
    """Yield the runs as a table, with their intervals as bars."""
    names = [*metric_names(evidence.records), "temperature_scaled_loss"]
    rows, only_heads = list[dict[str, Any]](), all(map(is_head, evidence.records.values()))
    for configuration in evidence.analysis.distinct():
        records, took = evidence.records[configuration], evidence.costs[configuration]
        sure = evidence.analysis.balanced[configuration]
        cost = {"seconds": took["seconds"], "time": duration(took["seconds"])}
        cost |= {} if only_heads else {"epochs": best_epoch(records, took)}
        bounds = {"measured": sure.mean, "low": 100 * sure.low, "high": 100 * sure.high}
        named = {"run": evidence.analysis.label(configuration), "best": configuration == evidence.analysis.best}
        rows.append({**named, **means(records, names), **bounds, **cost})
    yield titled("Results")
    yield Block(results=rows, description=evidence.analysis.outcomes.measure)
    yield Block(text=html(evidence.markdown["results"][-1]))


def worth(evidence: Evidence) -> Iterator[Block]:
    """Yield what each technique was worth."""
    rows = []
    for name, judgement in shown_judgements(evidence.analysis.judged).items():
        if judgement.verdict == NOT_TESTED:
            continue
        change = name if isinstance(name, Change) else name.change
        axes = {} if isinstance(name, Change) else name.before._asdict()
        same = ", ".join(value for axis, value in axes.items() if axis != change.axis) or "mean"
        gain = {key: 100 * value for key, value in judgement.gain._asdict().items()}
        points = {"points": gain["mean"], "low": gain["low"], "high": gain["high"], "verdict": judgement.verdict}
        rows.append({"technique": str(change), "with": same, **points, "mean": isinstance(name, Change)})
    heading, *parts = evidence.markdown["worth"] or ("",)
    if heading:
        yield Block(text=html(heading))
    if rows:
        yield Block(chart=charts.forest(rows), description="What each technique was worth, as in the table below.")
    if any(parts):
        yield Block(text=html("\n\n".join(part for part in parts if part)))


def epochs(evidence: Evidence) -> list[dict[str, Any]]:
    """Return accuracy and loss on validation of each run after each epoch."""
    return [
        {"run": run, "epoch": epoch, "accuracy": accuracy, "loss": loss}
        for run, history in evidence.histories.items()
        for epoch, (accuracy, loss) in enumerate(zip(history["accuracy"], history["loss"], strict=True), start=1)
    ]


def curves(evidence: Evidence) -> Iterator[Block]:
    """Yield how each run learnt."""
    if not (rows := epochs(evidence)):
        return  # heads have no epochs
    description = (
        "Accuracy and loss of every run that trained in epochs, on the validation images. Drag to move, turn the wheel"
    )
    yield titled("Learning curves")
    yield Block(chart=charts.curves(rows), description=f"{description} to zoom, double-click to go back.")


def pareto(evidence: Evidence) -> Iterator[Block]:
    """Yield what accuracy costs."""
    rows = []
    for configuration in evidence.analysis.distinct():
        accuracy = evidence.analysis.balanced[configuration].mean
        seconds = float(evidence.costs[configuration]["seconds"])
        rows.append(
            {"run": str(configuration), "network": configuration.network, "seconds": seconds, "accuracy": accuracy}
        )
    for row in rows:
        row["front"] = "no" if any(_beats(other, row) for other in rows) else "yes"
    if len(rows) > 1:
        front = ", ".join(str(row["run"]) for row in rows if row["front"] == "yes")
        yield titled("Accuracy against training time")
        description = (
            f"Runs that no other run beats in both {evidence.analysis.outcomes.measure} and time: {front}. Time"
            " includes a frozen network's features."
        )
        yield Block(chart=charts.pareto(rows, evidence.analysis.outcomes.measure), description=description)


def _beats(other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    no_worse = other["accuracy"] >= row["accuracy"] and other["seconds"] <= row["seconds"]
    return no_worse and (other["accuracy"], other["seconds"]) != (row["accuracy"], row["seconds"])


def confusion(evidence: Evidence) -> Iterator[Block]:
    """Yield what the best run takes for what."""
    best, names = evidence.analysis.best, classes_of(evidence.records)
    counts = np.array([confusion_of(record) for record in evidence.records[best]]).sum(axis=0)
    order = charts.cluster_order(counts) if len(names) > charts.MANY_CLASSES else list(range(len(names)))
    drawn = charts.confusion(counts[np.ix_(order, order)], [names[label] for label in order])
    yield titled("What is taken for what")
    description = f"Test images of {best}, a row per class and a column per class that they were taken for."
    if len(names) > charts.MANY_CLASSES:
        description += (
            " Classes that are taken for each other stand together; turn the wheel to zoom, hover to see names."
        )
    yield Block(chart=drawn, description=description)
    yield from report_section(evidence, "classes")


def examples(evidence: Evidence) -> Iterator[Block]:
    """Yield the most confident mistakes and the hardest classes of the best run."""
    names = classes_of(evidence.records)
    for why, title in (("confident mistake", "The most confident mistakes"), ("hard class", "The hardest classes")):
        rows = [row for row in evidence.examples if row["why"] == why and row["predicted"] != row["label"]]
        images = [
            PageImage(embedded(row["image"]), example_caption(row, names), embedded(row["heat_map"]), row["path"])
            for row in rows
        ]
        if images:
            yield Block(text=html(f"## {title}\n\nFiles are named as in data/raw."))
            yield Block(images=images)


def example_caption(example: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return what an image is and what it was taken for, and how sure of that the run was."""
    taken = names[example["predicted"]]
    return f"{names[example['label']]}, taken for {taken} ({100 * example['probability']:.0f}\u00a0%)"


def copies(evidence: Evidence) -> Iterator[Block]:
    """Yield what augmentation does to a few images."""
    pairs = [
        PageImage(embedded(encoded), caption)
        for original, copy, drawn in evidence.copies
        for encoded, caption in ((original, "original"), (copy, drawn))
    ]
    if pairs:
        yield Block(text=html("## What augmentation does\n\nA few training images, each beside an altered copy."))
        yield Block(images=pairs, paired=True)


def composition(evidence: Evidence) -> Iterator[Block]:
    """Yield where the images come from, how many each class has, a few of them, and what was left out."""
    yield titled("Images")
    yield from report_section(evidence, "images")
    rows = [
        {"class": name, "split": SPLITS[split], "images": count}
        for split, counts in evidence.counts.items()
        for name, count in counts.items()
    ]
    description = "Images of each class, by split."
    yield Block(chart=charts.class_counts(rows, classes_of(evidence.records)), description=description)
    yield Block(images=[PageImage(embedded(encoded), name) for encoded, name in evidence.samples])
    size, best = evidence.records[evidence.analysis.best][0]["settings"]["image_size"], evidence.analysis.best
    shown = f"Training images of {len(evidence.samples)} classes as they are stored"
    yield Block(text=html(f"{shown}; {best} sees them at {size} x {size} pixels."))


def calibration(evidence: Evidence) -> Iterator[Block]:
    """Yield whether the best run's probabilities can be believed."""
    best, rows = evidence.analysis.best, reliability(evidence.records, evidence.analysis)
    heading, *parts = evidence.markdown["calibration"]
    yield Block(text=html(heading))
    description = (
        f"{best}: stated probability against the share that is correct, with its 95 % interval; on the dashed line they"
        f" are equal. Each point stands for {FEWEST_A_POINT} images or more."
    )
    if len(rows) > 1:
        yield Block(chart=charts.reliability(rows), description=description)
    yield Block(text=html("\n\n".join(parts)))


def search(evidence: Evidence) -> Iterator[Block]:
    """Yield what each search has tried; of one that tried the defaults alone nothing."""
    several = {network: trials for network, trials in evidence.trials.items() if len(trials) > 1}
    heads = {key.network for key, records in evidence.records.items() if is_head(records)}
    if not several:
        return
    yield titled("What the search tried")
    if rows := losses({network: trials for network, trials in several.items() if network not in heads}):
        description = (
            "Scaled loss of every trial on its validation images. Trial 1 is the defaults, the line the best so far;"
            " a pruned trial was stopped early. A gain is shrunk by its noise, so that the lowest loss need not win."
        )
        yield Block(chart=search_charts.search(rows), description=description)
    for network, trials in several.items():
        if values := values_tried(trials):
            of = "cross-validated loss of heads" if network in heads else "scaled loss of trials"
            description = f"{network_name(network)}: {of} by the value of each hyperparameter that differs."
            yield Block(chart=search_charts.slice_plots(values), description=description)


def insight_section(make: Callable[[Insight, Sequence[str]], Iterator[Block]], evidence: Evidence) -> Iterator[Block]:
    """Yield a section about the images themselves, where the stage insight has looked at them, or a curve is there."""
    if evidence.insight.found or (evidence.insight.trained and make is INSIGHT_SECTIONS["more-images"]):
        yield from make(evidence.insight, classes_of(evidence.records))


SECTIONS: dict[str, Callable[[Evidence], Iterator[Block]]] = {
    "answer": lambda evidence: report_section(evidence, "answer"),
    "results": results,
    "worth": worth,
    "curves": curves,
    "cost-of-accuracy": pareto,
    "search": search,
    "confusion": confusion,
    "examples": examples,
    **{name: partial(insight_section, make) for name, make in INSIGHT_SECTIONS.items()},
    "augmentation": copies,
    "calibration": calibration,
    "images": composition,
    "findings": lambda evidence: report_section(evidence, "findings"),
    "times": lambda evidence: report_section(evidence, "times"),
    "settings": lambda evidence: report_section(evidence, "settings"),
    "cost": lambda evidence: report_section(evidence, "cost"),
}
