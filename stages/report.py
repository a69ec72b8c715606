"""Stage report: put all runs side by side."""

from typing import Any, Literal, NamedTuple

from stages.reporting.answer import answer
from stages.reporting.commit import commit
from stages.reporting.data_summary import LeftOut, left_out_lines, small_classes_line, splits_table
from stages.reporting.dvc_plots import write_plots
from stages.reporting.findings import epochs_p_value, findings, leads
from stages.reporting.markdown import percent
from stages.reporting.model_card import model_card
from stages.reporting.page import Evidence, page
from stages.reporting.page_images import copies_of, examples_of
from stages.reporting.records import (
    classes_of,
    compared,
    cost,
    means,
    nested,
    qualities,
    records_of_study,
    with_timing,
)
from stages.reporting.sections import (
    Judged,
    calibration_section,
    classes_section,
    cost_section,
    findings_section,
    results_section,
    times_section,
    worth_section,
)
from stages.reporting.settings import settings_section
from stages.runtime.command import run_stage
from stages.runtime.config import Section, read_section
from stages.runtime.files import atomic_folder, read_csv, read_json, write_json, write_text
from stages.runtime.study import Study
from stages.statistics.comparisons import Records, contrasts, judge_contrasts, same_runs

SYNTHETIC = (
    "> The images are **drawn by this project** (source `synthetic`): these numbers show that the machinery works."
    " They say nothing about photographs; point `dataset` at some for that."
)


class Settings(Section):
    """params.yaml's section `report`."""

    published_study: Literal["auto"] | bool
    licence: str  # of the images

    def of_published(self, source: str) -> bool:
        """Say whether the report is to speak of the published study, which was of birds."""
        return source == "cub_200_2011" if self.published_study == "auto" else self.published_study


class Report(NamedTuple):
    """What report.md says, by section in its order, and what each technique was worth."""

    sections: dict[str, list[str]]
    worth: Judged

    def markdown(self) -> str:
        """Return all of it as one text."""
        parts = [part for section in self.sections.values() for part in section if part]
        return "\n\n".join(["# Report", *parts]) + "\n"


class DataSummary(NamedTuple):
    """Where the images come from, and what was left out."""

    source: str
    left_out: LeftOut
    composition: dict[str, Any]


def main() -> None:
    """Put all runs side by side."""
    study, source, settings = (
        read_section("study", Study),
        read_section("dataset.source", str),
        read_section("report", Settings),
    )
    scores, costs = (records_of_study(study, f"metrics/{name}") for name in ("runs", "costs"))
    costs = {key: [with_timing(each, key) for each in records] for key, records in costs.items()}
    names = qualities(scores)
    write_json("metrics/metrics.json", nested({key: means(each, names) for key, each in scores.items()}))
    write_json("metrics/cost.json", nested({key: compared(cost(each)) for key, each in costs.items()}))
    left_out = {name: read_csv(f"data/{name}.csv") for name in ("skipped", "duplicates")}
    images = DataSummary(source, left_out, read_json("data/composition.json"))
    told = report(scores, costs, images, settings.of_published(source))
    write_text("metrics/report.md", told.markdown())
    taken = {key: cost(each) for key, each in costs.items()}
    splits = images.composition["splits"]
    write_text("metrics/model-card.md", model_card(scores, taken, splits, source, settings.licence))
    evidence = Evidence(
        markdown=told.sections,
        scores=scores,
        costs=taken,
        judged=told.worth,
        histories=histories_of(scores, study.seeds),
        examples=examples_of("data/examples.parquet"),
        copies=copies_of("data/copies.parquet"),
        commit=commit(),
    )
    with atomic_folder("data/report") as folder:
        write_text(folder / "index.html", page(evidence))
        write_plots(folder / "plots", evidence)


def histories_of(scores: Records, seeds: list[int]) -> dict[str, dict[str, list[float]]]:
    """Return accuracy and loss on validation of each run after each epoch."""
    return {
        f"{configuration}-{seed}": record["history"]
        for configuration, records in scores.items()
        for seed, record in zip(seeds, records, strict=True)
    }


def report(scores: Records, costs: Records, images: DataSummary, published: bool) -> Report:
    """Return the report, by section; `published`: held against the published study as well."""
    taken = {configuration: cost(each) for configuration, each in costs.items()}
    classes, techniques = len(classes_of(scores)), contrasts(scores)
    claims, epochs = (leads(scores), epochs_p_value(costs)) if published else ({}, {})
    judged, p_values = judge_contrasts(scores, {**techniques, **claims}, same_runs(scores), epochs)
    worth = {name: judged[name] for name in techniques}
    found = findings(scores, costs, {lead: judged[lead] for lead in claims}, p_values) if published else []
    splits = images.composition["splits"]
    sections = {
        "answer": [
            *answer(scores, taken, worth, splits["original"]["images"]),
            *([SYNTHETIC] if images.source == "synthetic" else []),
        ],
        "images": [
            introduction(scores, images.source),
            splits_table(splits),
            *left_out_lines(images.left_out),
            small_classes_line(images.composition["left_out_classes"]),
        ],
        "results": results_section(scores, taken),
        "worth": worth_section(scores, taken, worth),
        "findings": findings_section(found),
        "calibration": calibration_section(scores),
        "times": times_section(taken, classes) if published else [],
        "settings": settings_section(scores),
        "cost": cost_section(taken),
        "classes": classes_section(scores),
    }
    return Report(sections, worth)


def introduction(scores: Records, source: str) -> str:
    """Say what every run is scored on, and from how many seeds it was trained."""
    first, classes = next(iter(scores.values())), len(classes_of(scores))
    repeated = f" Each run was trained from {len(first)} seeds; numbers are means." if len(first) > 1 else ""
    return (
        f"{classes} classes of source `{source}`; every run is scored on the same {first[0]['images']:,} test"
        f" images; guessing is right in {percent(1 / classes)} of them.{repeated}"
    )


if __name__ == "__main__":
    run_stage(main)
