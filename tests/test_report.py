"""Stage report: the study's runs, and no others, side by side."""

from pathlib import Path

import pytest

from benchmarks.studies import set_params
from stages import report
from stages.lib.files import read_json, write_json
from stages.lib.runs import Run, Study

ALL = Study(
    networks=["own_cnn", "resnet50"], hyperparameters=["default", "tuned"], data=["original", "augmented"]
).runs()


@pytest.fixture
def runs(project):
    """Eight evaluated runs, each a little better than the one before."""
    for number, run in enumerate(ALL):
        right = 10 + number
        write_json(
            f"metrics/runs/{run}.json",
            {
                "accuracy": right / 20, "top5_accuracy": 1.0, "macro_f1": right / 20, "loss": 1.5, "pictures": 40,
                "class_accuracy": {"crow": 1.0, "jay": right / 10 - 1},
                "confusion": [[20, 0], [20 - 2 * number, 2 * number]],
            },
        )  # fmt: skip
        write_json(
            f"metrics/costs/{run}.json",
            {
                "seconds": 60.0 + number, "images_per_second": 100.0, "pictures": 600, "epochs": 6, "best_epoch": 5,
                "parameters": 2_162_388, "peak_memory_megabytes": 1000, "device": "CPU, 2 threads",
                "precision": "bfloat16",
            },
        )  # fmt: skip
    Path("data").mkdir()
    Path("data/skipped.csv").write_text("file,reason\n", encoding="utf-8")
    Path("data/duplicates.csv").write_text("file,same_as,dropped\n", encoding="utf-8")
    return project


def test_metrics_are_small_nested_and_fractions(runs):
    """{network: {hyperparameters: {data: the four qualities}}}: what `dvc metrics diff` reads."""
    report.main()
    metrics = read_json("metrics/metrics.json")
    qualities = [metrics[run.network][run.hyperparameters][run.data] for run in ALL]
    assert [record["accuracy"] for record in qualities] == [(10 + number) / 20 for number in range(8)]
    assert {tuple(record) for record in qualities} == {("accuracy", "loss", "macro_f1", "top5_accuracy")}
    assert read_json("metrics/cost.json")["resnet50"]["tuned"]["augmented"]["seconds"] == 67.0


def test_a_network_taken_from_the_study_leaves_every_table(runs):
    """Though its files still lie in metrics/runs."""
    set_params(runs, study__networks=["own_cnn"], study__data=["augmented"])
    report.main()
    assert read_json("metrics/metrics.json").keys() == {"own_cnn"}
    text = Path("metrics/report.md").read_text(encoding="utf-8")
    assert "resnet50-default-original | 2 min 57 s" in " ".join(text.split())  # the reference's row stays
    assert "resnet50 instead of own_cnn" not in text
    assert "augmented instead of original" not in text


def test_the_report_says_what_a_person_asks(runs):
    """The best run, what each technique was worth, the times beside the reference's, and the worst class."""
    report.main()
    text = " ".join(Path("metrics/report.md").read_text(encoding="utf-8").split())
    for row in (
        "| resnet50-tuned-augmented | **85.0 %** | 100.0 % | 0.850 | 1.500 | 5 of 6 | 1 min 07 s |",
        "| resnet50 instead of own_cnn | default, original | +20.0 |",
        "| tuned instead of default | own_cnn, original | +10.0 |",
        "| augmented instead of original | own_cnn, default | +5.0 |",
        "| resnet50-default-augmented | 5 min 01 s | 42 min 00 s | 1 min 05 s |",
        "| own_cnn-tuned-original | – | – | 1 min 02 s |",
        "| own_cnn-default-original | 600 | 100 | 2.16 M | 1,000 MB | CPU, 2 threads, bfloat16 |",
        "| jay | 70.0 % | crow |",
    ):
        assert row in text


def test_drawn_pictures_are_called_drawn(runs):
    """No number of the synthetic source can be mistaken for one of photographs; photographs carry no such note."""
    report.main()
    assert "drawn by this project" in Path("metrics/report.md").read_text(encoding="utf-8")
    set_params(runs, dataset__source="folder")
    report.main()
    assert "drawn by this project" not in Path("metrics/report.md").read_text(encoding="utf-8")


def test_skipped_files_are_counted(runs):
    """A study that left files out, or kept copies, says so."""
    Path("data/skipped.csv").write_text("file,reason\na,empty\nb,empty\n", encoding="utf-8")
    report.main()
    Path("data/duplicates.csv").write_text("file,same_as,dropped\na,b,True\nc,d,False\n", encoding="utf-8")
    report.main()
    text = " ".join(Path("metrics/report.md").read_text(encoding="utf-8").split())
    assert "Bad files that were skipped: 2." in text
    assert "Pictures that stood in another split or class as well: 2, of which 1 dropped." in text


def test_a_run_is_written_as_its_three_values():
    """The name that file names and tables share."""
    assert str(Run("own_cnn", "tuned", "augmented")) == "own_cnn-tuned-augmented"
    assert [str(run) for run in ALL][:2] == ["own_cnn-default-original", "own_cnn-default-augmented"]
