"""Stage report: the study's runs, and no others, side by side."""

import re
from pathlib import Path

import numpy as np
import pytest

from helpers.projects import set_params
from stages import report
from stages.runtime.files import read_json, write_json
from stages.runtime.runs import Run
from stages.runtime.study import Study
from tests.records import of_classes, write_data, write_run

STUDY = Study(
    networks=["own_cnn", "resnet50"], hyperparameters=["default", "tuned"], data=["original", "augmented"], seeds=[1]
)
CONFIGURATIONS = STUDY.configurations()
RUNS = [Run(*configuration, 1) for configuration in CONFIGURATIONS]


@pytest.fixture
def runs(project, monkeypatch):
    """Eight evaluated runs, each with two images more than the one before; the page lacks its scripts."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    for number, run in enumerate(RUNS):
        write_run(run, 20 + 2 * number, seconds=60.0 + number)
    write_data()
    return project


def reported(published: object = True) -> str:
    """Run the stage; return its report, blanks alike; with the published study's findings and times, if not said."""
    set_params(Path(), report__published_study=published)
    report.main()
    return " ".join(Path("metrics/report.md").read_text(encoding="utf-8").split())


def test_metrics_are_small_nested_and_fractions(runs):
    """{network: {hyperparameters: {data: the qualities}}}, and likewise four costs: what `dvc metrics diff` reads.

    Of two classes nobody counts the best five. Costs have two digits, so that a run again shows no difference.
    """
    for run in RUNS:
        write_run(run, 20 + 2 * RUNS.index(run), seconds=67.4, images_per_second=443.2, peak_memory_megabytes=1340)
    report.main()
    metrics = read_json("metrics/metrics.json")
    qualities = [
        metrics[configuration.network][configuration.hyperparameters][configuration.data]
        for configuration in CONFIGURATIONS
    ]
    accuracies = [(10 + number) / 20 for number in range(8)]
    assert qualities == [{"accuracy": a, "loss": 1.5, "macro_f1": a} for a in accuracies]
    assert read_json("metrics/cost.json")["resnet50"]["tuned"]["augmented"] == {
        "seconds": 67, "images_per_second": 440, "peak_memory_megabytes": 1300, "parameters": 2_162_388,
    }  # fmt: skip


def test_metrics_fit_a_screen(runs):
    """Eight runs of twenty classes have at most eight numbers each, none of them a word."""
    for run in RUNS:
        write_run(run, 30, **of_classes([f"bird {number:02}" for number in range(20)], [[1] * 20] * 20))
    report.main()

    def leaves(value):
        return [leaf for each in value.values() for leaf in leaves(each)] if isinstance(value, dict) else [value]

    numbers = [leaf for name in ("metrics", "cost") for leaf in leaves(read_json(f"metrics/{name}.json"))]
    assert len(numbers) == 8 * (4 + 4)
    assert {type(number) for number in numbers} <= {int, float}


def test_a_network_taken_from_the_study_leaves_every_table(runs):
    """Though its files still lie in metrics/runs; what cannot be said without it is not said."""
    set_params(runs, study__networks=["own_cnn"], study__data=["augmented"])
    text = reported()
    assert read_json("metrics/metrics.json").keys() == {"own_cnn"}
    assert "resnet50" not in text
    assert "augmented instead of original" not in text
    assert text.count("| not tested |") == 4
    set_params(runs, study__hyperparameters=["default"])
    text = reported("auto")
    for absent in ("Tuned hyperparameters were", "What each technique", "published", "reference study", "not tested"):
        assert absent not in text
    assert "There is nothing to compare it with." in text


@pytest.mark.parametrize(("right", "guessed"), [(21, True), (25, True), (30, False)])
def test_what_guessing_might_have_done_is_no_success(right, guessed, runs):
    """Of 40 images of two classes 25 right may be chance, 30 hardly."""
    set_params(runs, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    write_run(RUNS[0], right)
    assert ("not surely better than always naming the commonest class (50.0 %)" in reported()) == guessed


@pytest.mark.parametrize(
    ("asked", "source", "shown"),
    [("auto", "cub_200_2011", True), ("auto", "folder", False), (True, "folder", True), (False, "cub_200_2011", False)],
)
def test_the_published_study_is_spoken_of_where_the_images_are_its_birds(runs, asked, source, shown):
    """Or where somebody asks for it: training times of birds say nothing to an owner of other images."""
    set_params(runs, dataset__source=source)
    text = reported(asked)
    assert ("published study" in text) == ("reference study" in text) == ("42 min 00 s" in text) == shown


def test_the_mean_of_a_single_pair_is_that_pair(runs):
    """It stands in the table once."""
    set_params(runs, study__hyperparameters=["default"], study__data=["original"])
    text = reported()
    assert text.count("| resnet50 instead of own_cnn | default, original |") == 1
    assert "**mean**" not in text


def test_the_report_opens_with_the_answer(runs):
    """The best configuration, how sure that is, what it costs, what helped and what is next, before any table."""
    for run in RUNS:
        right = 16 + 14 * (run.data == "augmented") + (run.hyperparameters == "tuned")
        write_run(run, right, accuracy=right / 40, loss=right + (run.network == "resnet50"))
    composition = read_json("data/composition.json")
    composition["splits"]["original"]["images"] = 60
    write_json("data/composition.json", composition)
    opening = reported().partition("| split")[0]
    for said in (
        "# Report **The own CNN names 8 of 10 images correctly; the ResNet50 as many.** These test images cannot",
        " tell which is better: the own CNN or the ResNet50.",
        " The best run's training takes 1 min 00 s and 1,000 MB of memory.",
        "- Accuracy: the best of 8 runs, own_cnn-tuned-augmented, has an accuracy of 7",
        "on 40 test images (of these trained networks; corrected for being the best of several)",
        " It must beat always naming the commonest class (50.0 %).",
        "- Cannot be told from the best: own_cnn-default-augmented, resnet50-default-augmented, resnet50-tuned-",
        "- Such a study (40 test images, one seed for each run) shows differences of ",
        " points four times out of five in a typical comparison; the best run leaves 2",
        " to gain. To detect smaller ones as often, a gain of 5 points takes about ",
        " test images and a gain of 2 points takes about ",
        "- Probabilities, as `classify` gives them: off by 4.1 % on average, no more than chance alone explains (up to"
        " 6.0 %, in 95 of 100 cases).",
        "- Better: augmented instead of original +35.0 (",
        ") points (own_cnn +35.0, resnet50 +35.0), with one seed each.",
        "- Undecided: resnet50 instead of own_cnn +0.0 (",
        "; tuned instead of default +2.5 (",
        "- To try next: `study.seeds: [1, 2, 3]`, ",
        "- To try next: a network that starts from ImageNet's weights: add `efficientnet_lite0` to `study.networks`.",
        "- To try next: more photographs of each class: 30 to learn from are few.",
        "```.venv/bin/classify photo.jpg folder/```".replace("```", " ``` ").strip(),
    ):
        assert said in opening


def test_several_seeds_are_not_asked_for_where_there_are_three(runs):
    """Nor images where all is decided, nor weights where nearly all is known."""
    set_params(runs, study__seeds=[1, 2, 3], study__networks=["own_cnn"], study__hyperparameters=["default"])
    for seed in (1, 2, 3):
        write_run(Run("own_cnn", "default", "original", seed), 22)
        write_run(Run("own_cnn", "default", "augmented", seed), 40)
    text = reported()
    assert "To try next" not in text
    assert "- Better: augmented instead of original +45.0 (" in text
    assert "(of networks trained like these; corrected" in text
    assert "Every other run is surely worse." in text
    assert "training each" not in text


def test_a_search_that_lengthened_a_training_is_said(runs):
    """Half of a gain may be the longer training's."""
    assert "The search may change" not in reported()
    for run in RUNS:
        if run.network == "resnet50" and run.hyperparameters == "tuned":
            write_run(run, 30, epochs=60)
    text = reported()
    assert (
        "The search may change the length of a training: tuned runs trained resnet50 for 60 epochs instead of" in text
    )


def test_a_longer_training_is_no_worth_of_augmentation(runs):
    """With training.equal_steps: false the augmented runs see twice the images, which is said; else nothing is."""
    assert "trained longer" not in reported()
    for run in RUNS:
        write_run(run, 30, images=1200 if run.data == "augmented" else 600)
    assert "**Augmented runs trained longer than original ones: on 2.00 times as many images.**" in reported()
    for run in RUNS:  # a head that is fitted takes no steps
        frozen = {"image_size": 64, "freeze": "backbone", "weights": "imagenet"}
        write_run(run, 30, images=1200 if run.data == "augmented" else 600, settings=frozen)
    assert "trained longer" not in reported()
    for run in RUNS:
        images = {"original": 600, "augmented": 1800 if run.network == "resnet50" else 1200}[run.data]
        write_run(run, 30, images=images)
    assert "on own_cnn-default 2.00 times, own_cnn-tuned 2.00 times, resnet50-default 3.00 times" in reported()


def test_names_of_classes_do_not_break_the_report(runs):
    """Bars, line breaks and HTML are shown as they are, in the table of classes and among those left out."""
    names = ["<b>c</b>", "a|b", "d\ne"]  # in their order
    for run in RUNS:
        write_run(run, 30, **of_classes(names, [[0, 9, 0], [0, 9, 0], [0, 9, 9]]))
    composition = read_json("data/composition.json")
    write_json("data/composition.json", composition | {"left_out_classes": {"f|g\nh": 1}})
    text = reported()
    assert "| &lt;b&gt;c&lt;/b&gt; | a\\|b | 0 of 9 | " in text
    assert "f\\|g ↵ h (1)" in text
    assert "<b>" not in text
    lines = Path("metrics/report.md").read_text(encoding="utf-8").partition("## Classes")[2].splitlines()
    assert all(line.startswith("|") for line in lines[4:])
    assert "| d ↵ e | a\\|b | 9 of 18 | " in text


@pytest.mark.parametrize(("classes", "shown"), [(5, False), (6, True)])
def test_the_best_five_are_told_of_six_classes_and_more(runs, classes, shown):
    """Of five, the true one is always among them."""
    for run in RUNS:
        write_run(run, 30, **of_classes([f"bird {number}" for number in range(classes)], [[1] * classes] * classes))
    assert ("top-5" in reported()) == shown
    assert ("top5_accuracy" in read_json("metrics/metrics.json")["own_cnn"]["default"]["original"]) == shown


def test_the_report_says_what_a_person_asks(runs):
    """The best run, what each technique was worth, the times beside the reference's, and the worst class.

    34 of 40 right; 8, 4 and 2 of 40 gained, none lost, which does not stand among so many tests.
    """
    text = reported()
    for row in (
        "| resnet50-tuned-augmented | **85.0 %** | 71.4–93.7 | 0.850 | 1.250 | 5 of 6 | 1 min 07 s |",
        "| resnet50 instead of own_cnn | default, original | undecided | +20.0 | ",
        "| tuned instead of default | own_cnn, original | undecided | +10.0 | ",
        "| augmented instead of original | own_cnn, default | undecided | +5.0 | ",
        "| **augmented instead of original** | **mean** | undecided | **+5.0** |",
        "| own_cnn-default-original | 12.5 % | 3.5 % | 1.50 | 4.1 % | 3.5 % |",
        "| resnet50-default-augmented | 5 min 01 s | 42 min 00 s | 1 min 05 s |",
        "| own_cnn-tuned-original | – | – | 1 min 02 s |",
        "| own_cnn-default-original | CPU, 2 threads, bfloat16 | 600 | 100 | 2.16 M | 1,000 MB |",
        "| jay | crow | 14 of 20 | 71.8 % | 51.4–87.7 |",
        "`classify --none-of-these` rejects images whose evidence is below 0.30. About one in twenty images that do",
        " The answer says 8",
        " % where the table has 85.0 %: the best of 8 runs owes part of its lead to luck with these test images.",
    ):
        assert row in text
    assert text.count("**85.0 %**") == text.count(" %** |") == 1  # one is the best
    assert "deviation" not in text  # there is none of one seed


def test_a_study_of_other_networks_has_nothing_of_the_published_one(runs):
    """Its findings and times are about networks that took no part; each network stands beside the first."""
    networks = ["convnext_tiny", "mine", "mobilenet_v3_large"]
    set_params(runs, study__networks=networks, study__hyperparameters=["default"], study__data=["original"])
    for network, right in zip(networks, (20, 36, 28), strict=True):
        write_run(Run(network, "default", "original", 1), right)
    text = reported()
    assert "published" not in text
    assert "reference study" not in text
    assert "resnet50" not in text.lower()
    assert "| mine instead of convnext_tiny | default, original | better with one seed each | +40.0 |" in text
    assert (
        "| mobilenet_v3_large instead of convnext_tiny | default, original | better with one seed each | +20.0 |"
        in text
    )


def test_the_published_findings_are_judged(runs):
    """Tuning gained more than augmentation, the network most of all; but 40 images and a seed are too few to say."""
    text = reported()
    for row in (
        "| Augmentation is the technique that helps most | undecided | augmentation +5.0 (",
        "| The topology decides | undecided | ResNet50 instead of the own CNN +20.0 (",
        "| ResNet50 needs fewer epochs | undecided | epochs to 95 % of the best validation accuracy: ResNet50 3.0, own",
        "| On 200 classes the gap to ResNet50 widens | not tested | this study has 2 classes",
    ):
        assert row in text


@pytest.mark.parametrize(
    ("tuned", "says"),
    [
        (38, "are better with one seed each: +20.0 ("),
        (33, "may be as good as the defaults: +7.5 ("),
        (31, "may be as good as the defaults: +2.5 ("),
        (30, "may be as good as the defaults: +0.0 (-"),
        (22, "are worse with one seed each: -20.0 ("),
    ],
)
def test_whether_tuning_paid_is_said_of_test_images(runs, tuned, says):
    """Where the interval holds zero, nobody knows."""
    set_params(runs, study__networks=["own_cnn"], study__data=["original"])
    for hyperparameters, right in {"default": 30, "tuned": tuned}.items():
        write_run(
            Run("own_cnn", hyperparameters, "original", 1), right, loss={"default": 1.5, "tuned": 1.4}[hyperparameters]
        )
    said = reported()
    assert f"On average over runs, on test images they {says}" in said
    chance, _, advice = said.partition("they are better with a chance of ")[2].partition(".")[0].partition(" %: ")
    told = {
        38: ("over 99", "they are the better bet"),
        33: ("96", "they are the better bet, though not a proven one"),
        31: ("84", "either will do"),
        30: ("50", "either will do"),
        22: ("below 1", "the defaults are the better bet"),
    }
    assert (chance, advice) == told[tuned]


def test_a_search_that_found_nothing_better_than_the_defaults_is_said_so(runs):
    """Tuned and default runs are then the same in every digit; of one network, or of all."""
    for run in RUNS:
        write_run(run, {"own_cnn": 24, "resnet50": 26 if run.hyperparameters == "tuned" else 24}[run.network])
    assert (
        " %: they are the better bet, though not a proven one. For own_cnn tuned and default runs are the same."
        in reported()
    )
    set_params(runs, study__networks=["own_cnn"])
    assert "The search has kept the defaults: tuned and default runs are the same." in reported()


def test_several_seeds_give_a_mean_and_a_deviation(runs):
    """Accuracies of 50, 60 and 70 % are 60 % with a deviation of 10; other numbers are means too."""
    set_params(runs, study__seeds=[1, 2, 3], study__networks=["own_cnn"], study__hyperparameters=["default"])
    for seed, original, augmented in ((1, 20, 24), (2, 24, 24), (3, 28, 38)):
        values = {"seconds": 50.0 + 10 * seed, "loss": 1.0 + seed, "temperature": float(seed)}
        write_run(Run("own_cnn", "default", "original", seed), original, **values)
        write_run(Run("own_cnn", "default", "augmented", seed), augmented)
    text = reported()
    assert "Each run was trained from 3 seeds; numbers are means." in text
    assert "| run | accuracy | interval | deviation | macro F1 |" in text
    (row,) = [line for line in text.split("| own_cnn-default-original | 60.0 % | ")[1:] if "5 of 6" in line]
    assert row.split(" | ")[1:5] == ["10.0", "0.600", "1.250", "5 of 6"]
    assert "| own_cnn-default-original | 12.5 % | 3.5 % | 2.00 | 4.1 % | 3.5 % |" in text
    # four gained, none, ten; so 4.67 of 40 on average, which no other three seeds need give
    assert "| augmented instead of original | own_cnn, default | undecided | +11.7 | -" in text
    metrics = read_json("metrics/metrics.json")["own_cnn"]["default"]["original"]
    assert metrics == pytest.approx({"accuracy": 0.6, "macro_f1": 0.6, "loss": 3})
    cost = read_json("metrics/cost.json")["own_cnn"]["default"]["original"]
    assert (cost["seconds"], cost["parameters"]) == (70, 2_162_388)


def test_drawn_images_are_called_drawn(runs):
    """No number of the synthetic source can be mistaken for one of photographs; photographs carry no such note."""
    assert "drawn by this project" in reported()
    set_params(runs, dataset__source="folder")
    assert "drawn by this project" not in reported()


def test_skipped_files_are_counted(runs):
    """A study that left files out, or kept copies, says so."""
    assert "Bad files" not in reported()
    Path("data/skipped.csv").write_text("file,reason\na,empty\nb,empty\n", encoding="utf-8")
    rows = ["file,same_as,kind,distance,leak,dropped", "a,b,exact,0,True,True", "c,d,exact,0,True,False"]
    rows += ["e,f,exact,0,False,False", "g,h,near,9,True,False"]
    Path("data/duplicates.csv").write_text("\n".join(rows), encoding="utf-8")
    text = reported()
    assert "Bad files that were skipped: 2." in text
    assert "class: 2, of which 1 dropped and 1 left, such as a, which is b again. data/duplicates.csv" in text
    said = "class: 1, of which 0 dropped and 1 left, such as g, which is h again. data/duplicates.csv lists them"
    assert f"{said}; these make scores too good; `prepare.near_duplicate_" in text
    Path("data/duplicates.csv").write_text("\n".join(rows[:2]), encoding="utf-8")
    assert (
        "1 dropped and 0 left, such as a, which is b again. data/duplicates.csv lists them; where an image has two"
        in reported()
    )


def test_where_each_split_comes_from_is_said(runs):
    """And how many images it has."""
    text = reported()
    for row in (
        "| training | the source's own training images | 1,200 | 1 |",
        "| validation | 15 % of it | 1,200 | 1 |",
        "| test | the source's own test images | 1,200 | 20 |",
    ):
        assert row in text
    assert "min_images_per_class" not in text


def test_classes_that_were_left_out_are_listed_and_counted(runs):
    """By name, as far as a line holds them."""
    composition = read_json("data/composition.json")
    composition["left_out_classes"] = {"rook": 2, "daw": 0}
    write_json("data/composition.json", composition)
    assert (
        "Classes that were left out because they have too few images (dataset.min_images_per_class): 2, with 2 images:"
        " daw (0), rook (2). data/composition.json lists them."
    ) in reported()
    composition["left_out_classes"] = {f"bird {number:02}": 1 for number in range(25)}
    write_json("data/composition.json", composition)
    assert "25, with 25 images: bird 00 (1), " in reported()
    assert "bird 19 (1) and others. data/composition.json" in reported()


def test_classes_that_are_numbers_keep_their_mistakes(runs):
    """Class 10 comes after 2, as its label does: what it was taken for is looked up there."""
    for run in RUNS:
        write_run(run, 30, **of_classes(["1", "2", "10"], [[9, 0, 0], [0, 9, 0], [0, 6, 2]]))
    assert "| 10 | 2 | 2 of 8 | " in reported()


def test_a_run_is_written_as_its_four_values():
    """The name that file names share; tables name its configuration, which it shares with other seeds."""
    assert str(Run("own_cnn", "tuned", "augmented", 1)) == "own_cnn-tuned-augmented-1"
    assert list(map(str, STUDY.configurations()))[:2] == ["own_cnn-default-original", "own_cnn-default-augmented"]


def test_the_model_card_tells_who_gets_the_network_what_to_know(runs):
    """The best run, what it was trained on, how well it does by class, and the licence that params.yaml states."""
    set_params(Path(), report__licence="CC BY 4.0, *Jane*")
    report.main()
    card = " ".join(Path("metrics/model-card.md").read_text(encoding="utf-8").split())
    assert card.startswith("--- pipeline_tag: image-classification")
    assert "# resnet50-tuned-augmented" in card
    assert "1,200 images of source `synthetic`, which this project draws itself" in card
    assert r"Licence of the images: CC BY 4.0, \*Jane\*." in card
    assert "Accuracy 8" in card
    assert "corrected for being the best of several) on 40 test images" in card
    assert "off by 4.1 % on average, no more than chance alone explains" in card
    assert "cross entropy 1.250. It must beat" in card  # of the probabilities that it gives
    assert "; 1,200 others chose its best epoch" in card
    assert card.index("crow") < card.index("jay")  # the best class first
    assert "What it must not be used for" in card


def test_of_many_classes_the_model_card_lists_the_best_and_the_worst(runs):
    """Ten each of two hundred."""
    set_params(runs, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    confusion = np.diag(np.arange(200)) + np.roll(np.diag(200 - np.arange(200)), 1, axis=1)
    write_run(RUNS[0], 20, **of_classes([f"{number:03}" for number in range(200)], confusion))
    report.main()
    rows = re.findall(r"^\| (\d{3}) ", Path("metrics/model-card.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [f"{number:03}" for number in [*range(199, 189, -1), *range(9, -1, -1)]]


def test_runs_that_are_the_same_stand_in_one_row(runs):
    """Where tuned refers to default; numbers that others read keep both, and tuning is said not to be tested."""
    set_params(runs, study__networks=["own_cnn"])
    for data in ("original", "augmented"):
        same = {"same_as": f"own_cnn-default-{data}-1"}
        for kind in ("runs", "costs"):
            write_json(f"metrics/{kind}/own_cnn-tuned-{data}-1.json", same)
    text = reported("auto")
    assert text.count("| own_cnn-default-original (default = tuned) |") == 3  # results, calibration, cost
    assert "own_cnn-tuned-original" not in text
    assert "- Not tested: tuned instead of default, whose runs are the same." in text
    assert read_json("metrics/metrics.json")["own_cnn"].keys() == {"default", "tuned"}


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_study_in_which_all_is_correct_has_a_report(runs, seeds):
    """The kind of study that a good network gives on few images; nothing is told apart."""
    set_params(runs, study__seeds=[*range(1, seeds + 1)])
    for configuration in CONFIGURATIONS:
        for seed in range(1, seeds + 1):
            write_run(Run(*configuration, seed), 40, weights_sha256=str(configuration))
    text = reported()
    assert "names 40 of 40 images correctly" in text
    assert "Undecided: resnet50 instead of own_cnn +0.0" in text
    assert "| better" not in text


@pytest.mark.parametrize(
    ("images", "right", "said"),
    [
        (4, 3, "3 of 4"),
        (12, 7, "6 of 10"),
        (40, 39, "39 of 40"),
        (12, 12, "12 of 12"),
        (200, 196, "98 of 100"),
        (200, 200, "200 of 200"),
        (2000, 1994, "997 of 1,000"),
    ],
)
def test_the_headline_counts_no_more_images_than_were_tested(images, right, said, runs):
    """Of ten, a hundred or a thousand, or of all where fewer would make nearly all look like all."""
    set_params(runs, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    half, wrong = images // 2, images - right
    write_run(RUNS[0], 30, **of_classes(["crow", "jay"], [[half, 0], [wrong, half - wrong]]))
    assert f"**The own CNN names {said} images correctly.**" in reported()


def test_images_of_a_group_are_no_independent_observations(runs):
    """Of 40 images in eight bursts an accuracy is less sure than of 40."""
    alone = reported()
    groups = " ".join(str(image // 5) for image in range(40))
    for number, run in enumerate(RUNS):
        write_run(run, 20 + 2 * number, groups=groups)
    together = reported()
    assert "Images that belong together (of one group, or near duplicates) count together." in together
    row = re.compile(r"resnet50-tuned-augmented \| \*\*85.0 %\*\* \| ([\d.]+)–")
    assert float(row.search(together)[1]) < float(row.search(alone)[1]) - 10


def test_unequal_classes_count_alike(runs):
    """Who always names the commonest class is right in 90 % of images, and not the best."""
    commonest = of_classes(["crow", "jay"], [[36, 0], [4, 0]])
    fair = of_classes(["crow", "jay"], [[30, 6], [0, 4]])
    for run in RUNS:
        said = fair if run == RUNS[0] else commonest
        accuracy, balanced = (0.85, 11 / 12) if run == RUNS[0] else (0.9, 0.5)
        write_run(run, 30, ranked_by="balanced_accuracy", accuracy=accuracy, balanced_accuracy=balanced, **said)
    text = reported()
    assert "**The own CNN names 89 % of each class's images correctly, on average; the ResNet50 47 %.**" in text
    assert "- Accuracy: the best of 2 runs, own_cnn-default-original, has a balanced accuracy of " in text
    assert "It must beat always naming the same class (50.0 %)." in text
    assert "| run | balanced accuracy | interval | accuracy |" in text
    assert re.search(r"\| own_cnn-default-original \| \*\*91.7 %\*\* \| [\d.]+–[\d.]+ \| 85.0 % \|", text)
    assert "runs are ranked by balanced accuracy, in which each class counts the same" in text


def test_pre_trained_weights_are_a_technique(runs):
    """With a row and a note; their time counts the features that were computed once."""
    for run in RUNS:
        weights = {"settings": {"image_size": 224, "weights": "imagenet" if run.network == "resnet50" else "none"}}
        write_run(run, 38 if run.network == "resnet50" else 20, **weights)
    write_json("data/features/resnet50/original.json", {"seconds": 30.0, "images": 40})
    write_json("data/features/resnet50/validation.json", {"seconds": 5.0, "images": 4})
    text = reported()
    assert "# Report **The pre-trained ResNet50 names 38 of 40 images correctly; the own CNN 20.**" in text
    assert "pre-trained weights instead" not in text  # it would be resnet50 instead of own_cnn again
    assert "Pre-trained (resnet50): their weights may have seen some of the test photographs" in text
    assert read_json("metrics/cost.json")["resnet50"]["default"]["original"]["seconds"] == 95
    set_params(runs, study__networks=["own_cnn", "resnet50", "efficientnet_lite0"])
    for run in RUNS[:4]:
        write_run(run._replace(network="efficientnet_lite0"), 20)
    assert "| **pre-trained weights instead of random weights** | **mean** | better with one seed each |" in reported()


def test_many_near_copies_are_said_in_the_first_paragraph(runs):
    """Above a tenth of the test images."""
    composition = read_json("data/composition.json")
    for share, said in ((0.37, True), (0.05, False), (None, False)):
        composition["splits"]["test"]["share_copied_in_training"] = share
        write_json("data/composition.json", composition)
        first = reported().partition("- Accuracy")[0]
        assert ("**But 37.0 % of the test images look like one that was trained on" in first) == said


def test_too_few_validation_images_reject_nothing(runs):
    """A threshold of 0 is no threshold."""
    for run in RUNS:
        write_run(run, 30, none_of_these_below=None)
    assert "There are too few validation images to reject any image" in reported()
    card = Path("metrics/model-card.md").read_text(encoding="utf-8")
    assert "There were too few validation images to say" in " ".join(card.split())


def test_one_unlucky_training_is_no_technique(runs):
    """Of three seeds one fails: nothing is claimed, and no number of images is said to decide it."""
    set_params(runs, study__seeds=[1, 2, 3], study__hyperparameters=["default"])
    for configuration in CONFIGURATIONS:
        for seed in (1, 2, 3):
            fails = (configuration.network, configuration.data, seed) == ("resnet50", "original", 2)
            write_run(Run(*configuration, seed), 8 if fails else 33 + seed, weights_sha256=f"{configuration}{seed}")
    text = reported()
    assert "- Undecided: resnet50 instead of own_cnn -" in text
    assert "- Better" not in text
    assert "- Worse" not in text
    assert "a gain of 2 points takes more seeds, for images cannot decide it" in text
    assert "- To try next: more of `study.seeds`" in text
