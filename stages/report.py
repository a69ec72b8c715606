"""Stage report: put all runs side by side."""

from typing import Literal, NamedTuple

from pydantic import Field

from stages.reporting.analysis import Analysis, analyse
from stages.reporting.answer import answer
from stages.reporting.calibration import calibration_section
from stages.reporting.comparisons import counts_of_test_images, is_head, outcomes_of
from stages.reporting.costs import compared, cost, costs_of_study, with_features, with_timing
from stages.reporting.data_summary import (
    DataSummary,
    left_out_lines,
    read_composition,
    small_classes_line,
    splits_table,
    together_line,
)
from stages.reporting.dvc_plots import write_plots
from stages.reporting.findings import epochs_p_value, findings, leads
from stages.reporting.insight import Insight, insight_sections, read_insight
from stages.reporting.model_card import model_card
from stages.reporting.page import Evidence, page
from stages.reporting.page_images import copies_of, counts_of, examples_of, samples_of
from stages.reporting.records import (
    Records,
    classes_of,
    means,
    metric_names,
    nested,
    records_of_study,
)
from stages.reporting.search import trials_of
from stages.reporting.sections import (
    classes_section,
    cost_section,
    findings_section,
    results_section,
    times_section,
)
from stages.reporting.settings import settings_section
from stages.reporting.worth import worth_section
from stages.runtime.command import run_stage
from stages.runtime.config import Section, read_section
from stages.runtime.files import atomic_folder, read_csv, write_json, write_text
from stages.runtime.study import Networks, Study

SYNTHETIC = (
    "> The images are **drawn by this project** (source `synthetic`): these numbers show that the machinery works."
    " They say nothing about photographs; point `dataset` at some for that."
)


class Settings(Section):
    """params.yaml's section `report`."""

    published_study: Literal["auto"] | bool
    insight: bool = True  # look for what is wrong with the images
    learning_curve: Networks = Field([])  # that are trained on parts of the images as well
    licence: str  # of the images

    def of_published(self, source: str) -> bool:
        """Say whether the report is to speak of the published study, which was of birds."""
        return source == "cub_200_2011" if self.published_study == "auto" else self.published_study


class Report(NamedTuple):
    """What report.md says, by section in its order, and the numbers that it rests on."""

    sections: dict[str, list[str]]
    analysis: Analysis

    def markdown(self) -> str:
        """Return all of it as one text."""
        parts = [part for section in self.sections.values() for part in section if part]
        return "\n\n".join(["# Report", *parts]) + "\n"


def main() -> None:
    """Put all runs side by side."""
    study, source, settings = (
        read_section("study", Study),
        read_section("dataset.source", str),
        read_section("report", Settings),
    )
    records, costs = records_of_study(study), costs_of_study(study)
    costs = {key: [with_features(with_timing(one, key), key) for one in each] for key, each in costs.items()}
    names = metric_names(records)
    write_json("metrics/metrics.json", nested({key: means(each, names) for key, each in records.items()}))
    write_json("metrics/cost.json", nested({key: compared(cost(each)) for key, each in costs.items()}))
    images = DataSummary(
        source,
        settings.licence,
        {name: read_csv(f"data/{name}.csv") for name in ("skipped", "duplicates")},
        read_composition(),
        {
            "original": counts_of("data/original"),
            "validation": counts_of("data/validation"),
            "test": counts_of_test_images(records),
        },
    )
    insight = read_insight(settings.learning_curve)
    written = report(records, costs, images, insight, settings.of_published(source))
    write_text("metrics/report.md", written.markdown())
    taken = {key: cost(each) for key, each in costs.items()}
    write_text("metrics/model-card.md", model_card(records, taken, written.analysis, images, insight))
    evidence = Evidence(
        markdown=written.sections,
        records=records,
        costs=taken,
        analysis=written.analysis,
        histories=histories_of(records, written.analysis, study.seeds),
        counts=images.counts,
        trials={network: trials_of(network) for network in study.networks},
        samples=samples_of("data/original"),
        examples=examples_of("data/examples.parquet"),
        copies=copies_of("data/copies.parquet"),
        insight=insight,
    )
    with atomic_folder("data/report") as folder:
        write_text(folder / "index.html", page(evidence))
        write_plots(folder / "plots", evidence)


def histories_of(records: Records, analysis: Analysis, seeds: list[int]) -> dict[str, dict[str, list[float]]]:
    """Return accuracy and loss on validation of each run after each epoch; heads have none."""
    return {
        f"{configuration}-{seed}": record["history"]
        for configuration in analysis.distinct()
        if not is_head(records[configuration])
        for seed, record in zip(seeds, records[configuration], strict=True)
    }


def report(records: Records, costs: Records, images: DataSummary, insight: Insight, published: bool) -> Report:
    """Return the report, by section; `published`: held against the published study as well."""
    taken = {configuration: cost(each) for configuration, each in costs.items()}
    outcomes = outcomes_of(records)
    trained = {key: each for key, each in costs.items() if not is_head(records[key])}  # in epochs
    claims, epochs = (leads(records, outcomes), epochs_p_value(trained)) if published else ({}, {})
    analysis, judged, p_values = analyse(records, claims, epochs, outcomes)
    found = findings(records, trained, judged, p_values) if published else []
    sections = {
        "answer": [
            *answer(records, taken, analysis, images, insight),
            *([SYNTHETIC] if images.source == "synthetic" else []),
        ],
        "images": [
            introduction(records, images.source),
            splits_table(images),
            together_line(images) if any(map(is_head, records.values())) else "",
            *left_out_lines(images.left_out),
            small_classes_line(images.composition["left_out_classes"]),
        ],
        "results": results_section(records, taken, analysis),
        "worth": worth_section({key: taken[key] for key in trained}, analysis),
        "findings": findings_section(found),
        "calibration": calibration_section(records, analysis),
        "times": times_section(taken, len(classes_of(records))) if published else [],
        "settings": settings_section(records),
        "cost": cost_section(records, taken, analysis),
        "classes": classes_section(records, analysis),
        **insight_sections(insight),
    }
    return Report(sections, analysis)


def introduction(records: Records, source: str) -> str:
    """Say what every run is scored on, and from how many seeds it was trained."""
    first, classes = next(iter(records.values())), len(classes_of(records))
    repeated = f" Each run was trained from {len(first)} seeds; numbers are means." if len(first) > 1 else ""
    return (
        f"{classes} classes of source `{source}`; every run is scored on the same {first[0]['images']:,} test"
        f" images.{repeated}"
    )


if __name__ == "__main__":
    run_stage(main)
