"""Stage tune: the defaults first, then what the search makes of the trials before; train takes what it trained."""

import shutil
import sys
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.trial import Trial

from helpers.projects import run, set_params
from stages import configure, train, tune, weights
from stages.images.reading import encode
from stages.images.shards import Row, ShardWriter
from stages.networks.common.settings import BATCH_SIZES
from stages.reporting.costs import with_timing
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv, read_json
from stages.runtime.study import Configuration
from stages.training import run as training_run
from stages.tuning import search
from tests.study import SEARCH
from tests.training.test_loop import coloured

TUNED = Path("data/hyperparameters/own_cnn")
SEARCHED = {"learning_rate", "weight_decay", "dropout", "label_smoothing", "batch_size", "warmup_epochs", "epochs"}
AUGMENTATIONS = {f"online_augmentation.{name}" for name in ("shift", "crop", "mixup")}
LOSS = "validation_temperature_scaled_loss"


def change(project: Path, **values: object) -> None:
    """Change params.yaml, and run what brings settings to tune."""
    set_params(project, **values)
    configure.main()
    weights.main("own_cnn")


@pytest.fixture
def images(project):
    """A small training and validation set that can be learnt."""
    for name, count, seed in (("original", 24, 0), ("validation", 12, 1)):
        given = coloured(count, seed)
        with ShardWriter(
            Path(f"data/{name}"), given.class_names, preparation={"image_size": given.image_size}
        ) as writer:
            for image, label, path in zip(given.pixels, given.labels, given.paths, strict=True):
                writer.add(Row(encode(image.numpy(), 95), path, int(label)))
    change(project, search=SEARCH | {"trials": 3, "min_resource": 2}, training__epochs=2, training__batch_size=16)
    return project


@pytest.fixture
def takes_second(monkeypatch):
    """Have the second complete trial chosen, whatever it gains."""
    monkeypatch.setattr(search, "best_expected", lambda losses, _: min(1, len(losses) - 1))


def outputs() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in TUNED.rglob("*") if path.is_file() and path.stem != "timings"}


def hyperparameters() -> tuple[dict[str, object], dict[str, object]]:
    default, tuned = (read_json(TUNED / f"{name}.json") for name in ("default", "tuned"))
    return default, tuned


def test_it_writes_defaults_choice_and_trials(images, takes_second):
    """The first trial has the defaults; the choice is a trial's, and keeps all other settings."""
    change(images, search__trials=10)
    tune.main("own_cnn")
    default, tuned = hyperparameters()
    trials = read_csv(TUNED / "trials.csv")
    assert trials[0].keys() == {"trial", "state", LOSS, "trained_epochs", *SEARCHED, *AUGMENTATIONS}
    assert {name: float(trials[0][name]) for name in SEARCHED} == {name: default[name] for name in SEARCHED}
    chosen = [trial for trial in trials if trial["state"] == "complete"][1]
    assert {name: tuned[name] for name in SEARCHED} == {name: float(chosen[name]) for name in SEARCHED}
    assert {name: tuned[name] for name in default.keys() - SEARCHED} == {
        name: default[name] for name in default.keys() - SEARCHED
    }
    assert [trial["trial"] for trial in trials] == [str(number) for number in range(1, 11)]
    assert not Path("data/checkpoints/tune-own_cnn").exists()


def test_defaults_outside_the_space_of_the_search_are_tried_all_the_same(images):
    """As the first trial, with the values that they have."""
    change(images, networks__own_cnn__batch_size=20, training__learning_rate=0.05, search__trials=6)
    tune.main("own_cnn")
    trials = read_csv(TUNED / "trials.csv")
    assert (float(trials[0]["batch_size"]), float(trials[0]["learning_rate"])) == (20, 0.05)
    assert {float(trial["batch_size"]) for trial in trials} & {*BATCH_SIZES}


def test_where_no_run_is_tuned_nothing_is_searched(images):
    """A study of the default settings alone has no use for a search; train then trains."""
    change(images, study__hyperparameters=["default"])
    tune.main("own_cnn")
    default, tuned = hyperparameters()
    assert tuned == default
    assert (TUNED / "trials.csv").read_bytes() == b"trial,state,validation_temperature_scaled_loss,trained_epochs\n"
    assert [read_json(TUNED / f"trained-{name}/source.json") for name in ("default", "tuned")] == [{"data": None}] * 2
    assert not Path("data/checkpoints").exists()
    train.main("own_cnn", "default", "original", "1")
    assert "seconds" in read_json("data/trained/own_cnn-default-original-1/timing.json")


def test_what_the_search_has_trained_is_copied_without_torch(images, takes_second):
    """Byte for byte what a training gives; what it took is the same each time, and completed by the report."""
    tune.main("own_cnn")
    default, tuned = hyperparameters()
    assert tuned != default
    for name in ("default", "tuned"):
        copied = Path(f"data/trained/own_cnn-{name}-original-1")
        words = (name, "original", "1")
        code = (
            f"import sys; from stages.train import main; main('own_cnn', *{words}); assert 'torch' not in sys.modules"
        )
        run("env", f"PYTHONPATH={tune.__file__.rpartition('/stages')[0]}", sys.executable, "-c", code, folder=images)
        before = {path.name: path.read_bytes() for path in copied.iterdir()}
        timing = read_json(copied / "timing.json")
        training_run.train("own_cnn", *words)
        after = {path.name: path.read_bytes() for path in copied.iterdir()}
        assert {key: before[key] for key in after if key != "timing.json"} == {
            key: after[key] for key in after if key != "timing.json"
        }
        assert timing.keys() == {"taken_from", "epochs", "best_epoch", "epochs_to_95_percent"}
        completed = with_timing(timing, Configuration("own_cnn", name, "original"))
        assert completed.keys() == read_json(copied / "timing.json").keys()
        assert completed["seconds"] == read_json(TUNED / "timings.json")[name]["seconds"]


@pytest.mark.parametrize("words", [("augmented", "1"), ("original", "2")])
def test_runs_of_other_images_or_seeds_are_trained(images, words):
    """What the search trained is of the original images and the study's seed."""
    shutil.copytree("data/original", "data/augmented")
    tune.main("own_cnn")
    train.main("own_cnn", "default", *words)
    folder = Path(f"data/trained/own_cnn-default-{'-'.join(words)}")
    assert "taken_from" not in read_json(folder / "timing.json")
    same_images = words[1] == "1"
    searched = (TUNED / "trained-default/weights.safetensors").read_bytes()
    assert ((folder / "weights.safetensors").read_bytes() == searched) is same_images


def test_the_same_seed_gives_the_same_bytes(images):
    """The search is as repeatable as the training."""
    tune.main("own_cnn")
    before = outputs()
    tune.main("own_cnn")
    assert outputs() == before
    change(images, seed=5)
    tune.main("own_cnn")
    assert outputs()[str(TUNED / "trials.csv")] != before[str(TUNED / "trials.csv")]


class PulledPlugError(BaseException):
    """Ends a search as a kill would: nothing is written down of the trial that ran."""


@pytest.mark.parametrize(("folds", "killed"), [(1, (2, 3)), (1, (5, 6)), (2, (3, 9))])
def test_a_search_that_is_killed_goes_on_to_the_same_bytes(images, monkeypatch, folds, killed):
    """In an epoch of any trial or fold, and twice; trials that had ended are not trained again."""
    change(images, search__folds=folds)
    tune.main("own_cnn")
    needed = sum(int(row["trained_epochs"]) for row in read_csv(TUNED / "trials.csv"))
    whole, report, epochs = outputs(), Trial.report, iter(range(1, 100))

    def killing(trial, value, step):
        report(trial, value, step)
        if isinstance(trial.study._storage, JournalStorage) and next(epochs) in killed:
            raise PulledPlugError

    monkeypatch.setattr(Trial, "report", killing)
    for _ in killed:
        with pytest.raises(PulledPlugError):
            tune.main("own_cnn")
    tune.main("own_cnn")
    assert outputs() == whole
    assert next(epochs) <= needed + len(killed) * 2 * 2 * folds + 1
    assert not Path("data/checkpoints/tune-own_cnn").exists()


def test_what_a_search_of_other_settings_has_left_is_not_used(images, monkeypatch, capsys):
    """It starts anew, and says so."""
    with monkeypatch.context() as killing:
        killing.setattr(search, "remove_worse", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            tune.main("own_cnn")
    change(images, training__epochs=1)
    tune.main("own_cnn")
    assert "data/checkpoints/tune-own_cnn is of other settings, data, code or hardware" in capsys.readouterr().err
    assert read_csv(TUNED / "trials.csv")[0]["trained_epochs"] == "1"


def interrupt(_: float) -> None:
    raise KeyboardInterrupt


def test_a_helper_needs_a_database_and_a_search_that_runs(images, monkeypatch, tmp_path, capsys):
    """It writes nothing; each of these is said in words. What it waits for may be a search that runs alone here."""
    with pytest.raises(UserError, match="a search is shared through a database: set STUDY_STORAGE"):
        tune.main("own_cnn", "only-trials")
    with pytest.raises(UserError, match="help is no way to tune"):
        tune.main("own_cnn", "help")
    monkeypatch.setenv("STUDY_STORAGE", f"sqlite:///{tmp_path}/search.db")
    monkeypatch.setattr("stages.tuning.storage.time.sleep", interrupt)
    alone = Path("data/checkpoints/tune-own_cnn/alone")
    alone.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        tune.main("own_cnn", "only-trials")
    assert "waiting until `dvc repro` begins this search" in capsys.readouterr().err
    assert alone.exists()
    change(images, study__hyperparameters=["default"])
    with pytest.raises(UserError, match="own_cnn has no search to help"):
        tune.main("own_cnn", "only-trials")
    assert not Path("data/hyperparameters").exists()


def test_a_helper_of_a_search_that_has_ended_says_so(images, monkeypatch, tmp_path, capsys):
    """It trains nothing, and leaves what was found as it is."""
    monkeypatch.setenv("STUDY_STORAGE", f"sqlite:///{tmp_path}/search.db")
    tune.main("own_cnn")
    before = outputs()
    monkeypatch.setattr(search, "run_trial", interrupt)
    tune.main("own_cnn", "only-trials")
    assert "the search has ended; who leads it has its results" in capsys.readouterr().err
    assert outputs() == before


def test_a_mistake_in_either_section_is_one_line(images):
    """Both the search's settings and the network's are checked before anything is trained."""
    with pytest.raises(UserError, match=r"search.trials = 0 is not allowed"):
        change(images, search__trials=0)
    with pytest.raises(UserError, match=r"networks.own_cnn.dropout = 2 is not allowed"):
        change(images, search__trials=1, networks__own_cnn__dropout=2)
