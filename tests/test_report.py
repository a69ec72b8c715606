"""Stage report: the study's runs, and no others, side by side."""

from pathlib import Path

import pytest

from benchmarks.studies import set_params
from stages import report
from stages.lib.files import read_json, write_json
from stages.lib.runs import Run, Study

STUDY = Study(
    networks=["own_cnn", "resnet50"], hyperparameters=["default", "tuned"], data=["original", "augmented"], seeds=[1]
)
KINDS = STUDY.kinds()
RUNS = [Run(*kind, 1) for kind in KINDS]


def write_run(run: Run, right: int, **changes: object) -> None:
    """Write the records of a run that names the first so many of 40 test pictures rightly: 20 crows, then 20 jays."""
    write_json(
        f"metrics/runs/{run}.json",
        {
            "accuracy": right / 40, "top5_accuracy": 1.0, "macro_f1": right / 40, "loss": 1.5, "pictures": 40,
            "class_accuracy": {"crow": 1.0, "jay": right / 20 - 1}, "confusion": [[20, 0], [40 - right, right - 20]],
            "right": "1" * right + "0" * (40 - right), "calibration_error": 0.125, "temperature": 1.5,
            "scaled_calibration_error": 0.041, "scaled_loss": 1.25,
        }
        | {name: value for name, value in changes.items() if name != "seconds"},
    )  # fmt: skip
    write_json(
        f"metrics/costs/{run}.json",
        {
            "seconds": changes.get("seconds", 60.0), "images_per_second": 100.0, "pictures": 600, "epochs": 6,
            "best_epoch": 5, "epochs_to_95_percent": {"own_cnn": 4, "resnet50": 3}[run.network],
            "parameters": 2_162_388, "peak_memory_megabytes": 1000, "device": "CPU, 2 threads",
            "precision": "bfloat16",
        },
    )  # fmt: skip


@pytest.fixture
def runs(project):
    """Eight evaluated runs, each with two pictures more than the one before."""
    for number, run in enumerate(RUNS):
        write_run(run, 20 + 2 * number, seconds=60.0 + number)
    Path("data").mkdir()
    Path("data/skipped.csv").write_text("file,reason\n", encoding="utf-8")
    Path("data/duplicates.csv").write_text("file,same_as,dropped\n", encoding="utf-8")
    return project


def reported() -> str:
    """Run the stage; return its report, blanks alike."""
    report.main()
    return " ".join(Path("metrics/report.md").read_text(encoding="utf-8").split())


def test_metrics_are_small_nested_and_fractions(runs):
    """{network: {hyperparameters: {data: the four qualities}}}: what `dvc metrics diff` reads, and no more."""
    report.main()
    metrics = read_json("metrics/metrics.json")
    qualities = [metrics[kind.network][kind.hyperparameters][kind.data] for kind in KINDS]
    accuracies = [(10 + number) / 20 for number in range(8)]
    assert qualities == [{"accuracy": a, "loss": 1.5, "macro_f1": a, "top5_accuracy": 1.0} for a in accuracies]
    assert read_json("metrics/cost.json")["resnet50"]["tuned"]["augmented"]["seconds"] == 67.0


def test_a_network_taken_from_the_study_leaves_every_table(runs):
    """Though its files still lie in metrics/runs; what cannot be said without it is not said."""
    set_params(runs, study__networks=["own_cnn"], study__data=["augmented"])
    text = reported()
    assert read_json("metrics/metrics.json").keys() == {"own_cnn"}
    assert "resnet50-default-original | 2 min 57 s" in text  # the reference's row stays
    assert "resnet50 instead of own_cnn" not in text
    assert "augmented instead of original" not in text
    assert text.count("| not tested |") == 4
    set_params(runs, study__hyperparameters=["default"])
    assert "Tuned hyperparameters were" not in reported()


def test_the_report_says_what_a_person_asks(runs):
    """The best run, what each technique was worth, the times beside the reference's, and the worst class.

    Intervals are binomial: 34 of 40 right; 8, 4 and 2 of 40 gained, none lost. McNemar: 2 / 2**8, 2 / 2**4, 2 / 2**2.
    """
    text = reported()
    for row in (
        "| resnet50-tuned-augmented | **85.0 %** | 72.5–95.0 | 100.0 % | 0.850 | 1.500 | 5 of 6 | 1 min 07 s |",
        "| resnet50 instead of own_cnn | default, original | +20.0 | +7.5 to +32.5 | 0.0078 |",
        "| tuned instead of default | own_cnn, original | +10.0 | +2.5 to +20.0 | 0.12 |",
        "| augmented instead of original | own_cnn, default | +5.0 | +0.0 to +12.5 | 0.5 |",
        "| **augmented instead of original** | **mean** | **+5.0** |",
        "| own_cnn-default-original | 12.5 % | 1.500 | 1.50 | 4.1 % | 1.250 |",
        "| resnet50-default-augmented | 5 min 01 s | 42 min 00 s | 1 min 05 s |",
        "| own_cnn-tuned-original | – | – | 1 min 02 s |",
        "| own_cnn-default-original | 600 | 100 | 2.16 M | 1,000 MB | CPU, 2 threads, bfloat16 |",
        "| jay | 70.0 % | crow |",
    ):
        assert row in text
    assert text.count("**85.0 %**") == text.count(" %** |") == 1  # one is the best
    assert "deviation" not in text  # there is none of one seed


def test_the_published_findings_are_judged(runs):
    """Tuning gained more than augmentation, the network most of all; ResNet50 took 3 epochs, the own CNN 4."""
    text = reported()
    for row in (
        "| Augmentation is the technique that helps most | refuted | augmentation +5.0 (",
        "| The topology decides | confirmed | ResNet50 instead of the own CNN +20.0 (",
        "| ResNet50 needs fewer epochs | confirmed | epochs to 95 % of the best validation accuracy: ResNet50 3.0, own",
        "| On 200 classes the gap to ResNet50 widens | not tested | this study has 2 classes",
    ):
        assert row in text


@pytest.mark.parametrize(
    ("tuned", "says"),
    [(38, "are better: +20.0 (+7.5 to +32.5) points"), (30, "may be as good as the defaults: +0.0 (+0.0 to +0.0)"),
     (31, "may be as good as the defaults: +2.5 (+0.0 to +7.5)"), (22, "are worse: -20.0 (-32.5 to -7.5) points")],
)  # fmt: skip
def test_whether_tuning_paid_is_said_of_test_pictures(runs, tuned, says):
    """Where the interval holds zero, nobody knows."""
    set_params(runs, study__networks=["own_cnn"], study__data=["original"])
    for hyperparameters, right in {"default": 30, "tuned": tuned}.items():
        write_run(
            Run("own_cnn", hyperparameters, "original", 1), right, loss={"default": 1.5, "tuned": 1.4}[hyperparameters]
        )
    assert f"On test pictures they {says}" in reported()


def test_a_search_that_found_nothing_better_than_the_defaults_is_said_so(runs):
    """Tuned and default runs are then the same in every digit; of one network, or of all."""
    for run in RUNS:
        write_run(run, {"own_cnn": 24, "resnet50": 26 if run.hyperparameters == "tuned" else 24}[run.network])
    assert "points. For own_cnn no trial was better than the defaults." in reported()
    set_params(runs, study__networks=["own_cnn"])
    assert "No trial was better on validation pictures than the defaults: tuned and default runs are" in reported()


def test_several_seeds_give_a_mean_and_a_deviation(runs):
    """Accuracies of 50, 60 and 70 % are 60 % with a deviation of 10; other numbers are means too."""
    set_params(runs, study__seeds=[1, 2, 3], study__networks=["own_cnn"], study__hyperparameters=["default"])
    for seed, original, augmented in ((1, 20, 24), (2, 24, 24), (3, 28, 38)):
        values = {"seconds": 50.0 + 10 * seed, "loss": 1.0 + seed, "temperature": float(seed)}
        write_run(Run("own_cnn", "default", "original", seed), original, **values)
        write_run(Run("own_cnn", "default", "augmented", seed), augmented)
    text = reported()
    assert "Each run was trained from 3 seeds; numbers are means." in text
    assert "| run | accuracy | interval | deviation | top-5 |" in text
    (row,) = [line for line in text.split("| own_cnn-default-original | 60.0 % | ")[1:] if "5 of 6" in line]
    assert row.split(" | ")[1:6] == ["10.0", "100.0 %", "0.600", "3.000", "5 of 6"]
    assert "| own_cnn-default-original | 12.5 % | 3.000 | 2.00 | 4.1 % | 1.250 |" in text
    # McNemar of each seed: four gained, none, ten; so 4.67 of 40 on average
    assert "| augmented instead of original | own_cnn, default | +11.7 | " in text
    assert f" | {2 / 2**10:.2g} to 1 |" in text
    metrics = read_json("metrics/metrics.json")["own_cnn"]["default"]["original"]
    assert metrics == pytest.approx({"accuracy": 0.6, "top5_accuracy": 1, "macro_f1": 0.6, "loss": 3})
    cost = read_json("metrics/cost.json")["own_cnn"]["default"]["original"]
    assert (cost["seconds"], cost["epochs_to_95_percent"], cost["device"]) == (70, 4, "CPU, 2 threads")


def test_drawn_pictures_are_called_drawn(runs):
    """No number of the synthetic source can be mistaken for one of photographs; photographs carry no such note."""
    assert "drawn by this project" in reported()
    set_params(runs, dataset__source="folder")
    assert "drawn by this project" not in reported()


def test_skipped_files_are_counted(runs):
    """A study that left files out, or kept copies, says so."""
    assert "Bad files" not in reported()
    Path("data/skipped.csv").write_text("file,reason\na,empty\nb,empty\n", encoding="utf-8")
    Path("data/duplicates.csv").write_text("file,same_as,dropped\na,b,True\nc,d,False\n", encoding="utf-8")
    text = reported()
    assert "Bad files that were skipped: 2." in text
    assert "Pictures that stood in another split or class as well: 2, of which 1 dropped." in text


def test_a_run_is_written_as_its_four_values():
    """The name that file names share; tables name its kind, which it shares with other seeds."""
    assert str(Run("own_cnn", "tuned", "augmented", 1)) == "own_cnn-tuned-augmented-1"
    assert list(map(str, STUDY.kinds()))[:2] == ["own_cnn-default-original", "own_cnn-default-augmented"]
