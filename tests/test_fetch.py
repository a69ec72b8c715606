"""Stage fetch: images arrive, a folder per class, or nothing does and a line says why."""

import subprocess
import sys
import tarfile
import zipfile

import pytest

from helpers.projects import ROOT, set_params
from stages import fetch
from stages.runtime.errors import UserError
from tests.conftest import write_images


@pytest.fixture
def folder_source(project):
    """Read from a folder called `mine`, all classes of it."""
    set_params(project, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    return project


def fetched(project) -> list[str]:
    raw = project / "data/raw"
    return sorted(file.relative_to(raw).as_posix() for file in raw.rglob("*") if file.is_file())


def refused(project) -> tuple[str, ...]:
    """Fetch, which must fail and leave nothing; return the lines a person reads."""
    with pytest.raises(UserError) as raised:
        fetch.main()
    assert list(project.glob("data/*")) == []
    return raised.value.lines


def test_the_default_source_needs_nothing(project):
    """Invented birds: 20 classes of as many images as params.yaml asks for."""
    set_params(project, dataset__classes=3, dataset__synthetic__images_per_class=4)
    fetch.main()
    files = fetched(project)
    assert len(files) == 12
    assert len({name.split("/")[0] for name in files}) == 3


def test_a_folder_is_copied_without_what_file_managers_leave(folder_source):
    """Every file of every class, nested ones too; no hidden file, no thumbnails."""
    mine = write_images(folder_source / "mine", {"crow": 1, "blue jay": 1})
    write_images(mine / "crow", {"juvénile": 1})
    for leftover in ("crow/.DS_Store", "crow/Thumbs.db", "__MACOSX/crow/x.png", ".git/y.png", "notes.txt"):
        (mine / leftover).parent.mkdir(parents=True, exist_ok=True)
        (mine / leftover).write_text("-")
    fetch.main()
    assert fetched(folder_source) == ["blue jay/000.png", "crow/000.png", "crow/juvénile/000.png"]


@pytest.mark.parametrize("wrapped", ["", "birds/"])
@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_an_archive_is_like_its_folder(folder_source, kind, wrapped):
    """Whether or not it wraps all it has in one more folder."""
    mine = write_images(folder_source / "mine", {"crow": 2, "jay": 1})
    with tarfile.open(folder_source / f"mine.{kind}", "w:gz" if kind == "tar.gz" else "w") as tar:
        for name in ("crow", "jay"):
            tar.add(mine / name, f"{wrapped}{name}")
    set_params(folder_source, dataset__folder__path=f"mine.{kind}")
    fetch.main()
    assert fetched(folder_source) == ["crow/000.png", "crow/001.png", "jay/000.png"]


def test_classes_are_chosen_in_name_order_or_by_name(folder_source):
    """The first N of few classes are the first N of many; a list takes just those it names."""
    write_images(folder_source / "mine", {"rook": 1, "crow": 1, "jay": 1})
    set_params(folder_source, dataset__classes=2)
    fetch.main()
    assert fetched(folder_source) == ["crow/000.png", "jay/000.png"]
    set_params(folder_source, dataset__classes=["rook", "crow"])
    fetch.main()
    assert fetched(folder_source) == ["crow/000.png", "rook/000.png"]


def test_the_largest_class_can_be_capped(folder_source):
    """The first in name order of each class."""
    write_images(folder_source / "mine", {"crow": 3, "jay": 1})
    set_params(folder_source, dataset__max_images_per_class=2)
    fetch.main()
    assert fetched(folder_source) == ["crow/000.png", "crow/001.png", "jay/000.png"]


def test_a_path_without_images_is_named_with_its_key(folder_source):
    """The key, the value, and what may stand there; an image is no data set."""
    (line,) = refused(folder_source)
    assert line == "params.yaml: dataset.folder.path = mine does not exist; name a folder or an archive"
    (folder_source / "mine").write_text("?")
    (line,) = refused(folder_source)
    assert line.startswith("params.yaml: dataset.folder.path = mine is no folder and no .tar")


@pytest.mark.parametrize("name", ["mine.tar", "mine.tar.gz", "mine.zip"])
def test_an_unreadable_archive_is_named(folder_source, name):
    """Whatever its kind, a broken archive is one line and leaves nothing behind."""
    (folder_source / name).write_bytes(b"PK\x03\x04 not really")
    set_params(folder_source, dataset__folder__path=name)
    (line,) = refused(folder_source)
    assert line.startswith(f"{name}: ")


def test_archives_within_an_archive_are_named(folder_source):
    """As competitions hand them out: nothing is unpacked twice."""
    with zipfile.ZipFile(folder_source / "all.zip", "w") as archive:
        archive.writestr("train.zip", b"PK")
        archive.writestr("readme.txt", b"-")
    set_params(folder_source, dataset__folder__path="all.zip")
    assert refused(folder_source) == (
        "all.zip: holds archives instead of folders, such as train.zip; unpack them, or name that one",
    )


def test_empty_classes_are_all_named(folder_source):
    """Each empty class is a line."""
    mine = write_images(folder_source / "mine", {"crow": 1, "jay": 1})
    (mine / "rook").mkdir()
    (mine / "daw").mkdir()
    assert [line.split(":")[1].split("/")[0].strip() for line in refused(folder_source)] == ["daw", "rook"]


@pytest.mark.parametrize(("classes", "has"), [({"crow": 3}, "only crow"), ({}, "none")])
def test_less_than_two_classes_are_no_study(folder_source, classes, has):
    """There is nothing to tell apart; of none, the default path is before a person has put images there."""
    (folder_source / "mine").mkdir()
    write_images(folder_source / "mine", classes)
    (line,) = refused(folder_source)
    assert line == f"mine: a study needs at least two classes, the source has {has}; expected a folder per class"


def test_in_a_temporary_copy_an_empty_folder_says_how_it_is_filled(project, monkeypatch):
    """`dvc exp run --temp` copies what Git and DVC track; the images were neither's."""
    copy = project / ".dvc/tmp/exps/tmp1"
    (copy / "mine").mkdir(parents=True)
    (copy / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    monkeypatch.chdir(copy)
    set_params(copy, dataset__source="folder", dataset__folder__path="mine")
    (line,) = refused(copy)
    assert line == (
        "mine holds no folder of images in this temporary copy of the study, which `dvc exp run --temp` or --queue"
        " made of what Git and DVC track: give DVC the images (`make images` for data/pictures, else `dvc add`),"
        " commit, and run it again"
    )


def test_a_class_in_one_half_of_an_official_split_is_named(folder_source):
    """What is tested must be trained, and the reverse."""
    write_images(folder_source / "mine/train", {"crow": 1, "jay": 1, "rook": 1})
    write_images(folder_source / "mine/test", {"crow": 1, "jay": 1, "daw": 1})
    assert refused(folder_source) == tuple(
        f"mine: class '{name}' is in {here}/ but not in {there}/; complete or"
        " remove it, or set dataset.min_images_per_class: 1"
        for name, here, there in (("daw", "test", "train"), ("rook", "train", "test"))
    )


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["Train", "Test"], ["train", "test"]),
        (["TRAIN", "VAL"], ["train", "val"]),
        (["training", "testing"], ["train", "test"]),
        (["train", "valid"], ["train", "val"]),
        (["training", "validation", "test"], ["train", "val", "test"]),
        (["Train", "dev", "Testing"], ["train", "val", "test"]),
    ],
)
def test_splits_are_known_by_their_usual_words(folder_source, folders, splits):
    """In any case; data/raw calls them train, val and test."""
    for folder in folders:
        write_images(folder_source / "mine" / folder, {"crow": 1, "jay": 2})
    fetch.main()
    images = ("crow/000.png", "jay/000.png", "jay/001.png")
    assert fetched(folder_source) == [f"{split}/{name}" for split in sorted(splits) for name in images]


@pytest.mark.parametrize(
    ("folders", "wrong"),
    [
        (["train", "test", "valid", "extra"], "extra/, test/, train/, valid/ are no split and no classes"),
        (["Train", "training", "test"], "Train/ and training/ are the same split; merge them"),
        (["test", "val"], "test/, val/ have no train/ beside them"),
        (["fold 1", "fold 2"], "fold 1/, fold 2/ hold folders of the same names and no image, crow/, jay/:"),
        (["train", "extra"], "extra/, train/ hold folders of the same names and no image, crow/, jay/:"),
    ],
)
def test_splits_are_not_taken_for_classes(folder_source, folders, wrong):
    """A study of the classes `fold 1` and `fold 2` would be a well-meant mistake, whose scores mean nothing."""
    for folder in folders:
        write_images(folder_source / "mine" / folder, {"crow": 1, "jay": 1})
        (folder_source / "mine" / folder / "_DS_Store").write_text("-")  # which some archives bring
    (line,) = refused(folder_source)
    assert line.startswith(f"mine: {wrong}")


@pytest.mark.parametrize("names", [("train_images", "val_images", "test-set"), ("Train Data", "Valid", "TEST")])
def test_names_that_hold_a_splits_word_are_splits(folder_source, names, capsys):
    """Where they hold classes; two lines after fetch say what was taken for what."""
    for name in names:
        write_images(folder_source / "mine" / name, {"crow": 1, "jay": 2})
    fetch.main()
    assert {name.split("/")[0] for name in fetched(folder_source)} == {"train", "val", "test"}
    assert capsys.readouterr().out == (
        "fetched 2 classes; files: test 3, training 3, validation 3\nfiles of each class: crow 3, jay 6\n"
    )


def test_classes_whose_names_hold_a_splits_word_are_classes(folder_source, capsys):
    """A train station is no training set: its folder holds images."""
    write_images(folder_source / "mine", {"train station": 1, "test tube": 2} | {f"a{n:02}": 1 for n in range(15)})
    fetch.main()
    assert capsys.readouterr().out.splitlines() == [
        "fetched 17 classes; files: 18",
        "files of each class: " + ", ".join(f"a{n:02} 1" for n in range(12)) + ", 5 more",
    ]


def test_many_classes_of_as_many_files_take_one_number(folder_source, capsys):
    """As the drawn birds have."""
    write_images(folder_source / "mine", {f"a{n:02}": 2 for n in range(15)})
    fetch.main()
    assert capsys.readouterr().out.splitlines() == ["fetched 15 classes; files: 30", "files of each class: 2"]


@pytest.mark.parametrize("names", [("train_images", "val_images", "test_images"), ("train", "val", "test")])
def test_an_unlabelled_test_folder_is_no_class(folder_source, names):
    """As competitions hand it out: nothing says what its images show."""
    mine = folder_source / "mine"
    for name in names[:2]:
        write_images(mine / name, {"crow": 1, "jay": 1})
    write_images(mine, {names[2]: 3})
    (line,) = refused(folder_source)
    listed = "/, ".join(sorted(names))
    assert line == (
        f"mine: {names[2]}/ of {listed}/ holds no folder per class, so nothing says what its images show; move it"
        " elsewhere (`classify` answers images without labels)"
    )


def test_two_folders_of_the_same_folders_are_not_two_classes(folder_source):
    """Half of the names are enough, and a third folder that is a class changes nothing."""
    mine = folder_source / "mine"
    write_images(mine / "morning", {"crow": 1, "jay": 1, "rook": 1})
    write_images(mine / "evening", {"crow": 1, "jay": 1, "daw": 1})
    write_images(mine, {"extra": 2})
    (line,) = refused(folder_source)
    assert line.startswith("mine: evening/, morning/ hold folders of the same names and no image, crow/, daw/, jay/:")
    assert line.endswith("or name all images in a table, whose column group may keep a folder's together"
                         " (dataset.folder.labels)")  # fmt: skip


def test_splits_within_each_class_are_not_mixed(folder_source):
    """crow/train/ and crow/test/ as one class would put test images into training."""
    for name in ("crow", "jay"):
        write_images(folder_source / "mine" / name, {"train": 1, "test": 1})
    (line,) = refused(folder_source)
    assert line == (
        "mine: crow/, jay/ hold folders of the same names and no image, test/, train/: have these on top, with a"
        " folder per class in each"
    )


def test_classes_may_have_folders_of_their_own(folder_source):
    """As long as these do not look like classes: other names, one alone, or images beside them."""
    for name, folders in {"crow": ["adult", "young"], "jay": ["adult"], "rook": ["images"]}.items():
        write_images(folder_source / "mine" / name, dict.fromkeys(folders, 1))
    write_images(folder_source / "mine", {"train": 1})  # a class, as CIFAR-100 has tram and train
    fetch.main()
    assert fetched(folder_source) == [
        "crow/adult/000.png", "crow/young/000.png", "jay/adult/000.png", "rook/images/000.png", "train/000.png"
    ]  # fmt: skip


def test_classes_that_the_source_lacks_are_named(folder_source):
    """One line each, with the key."""
    write_images(folder_source / "mine", {"crow": 1, "jay": 1})
    set_params(folder_source, dataset__classes=["crow", "dodo", "moa"])
    assert refused(folder_source) == tuple(
        f"mine: params.yaml: dataset.classes names '{name}', which the source lacks" for name in ("dodo", "moa")
    )
    set_params(folder_source, dataset__classes=3)
    assert "dataset.classes = 3, but the source has 2" in refused(folder_source)[0]


def test_an_unknown_source_lists_those_there_are(project):
    """In words that name the key."""
    set_params(project, dataset__source="flickr")
    (line,) = refused(project)
    assert "dataset.source = 'flickr' is not allowed: must be one of" in line
    assert "synthetic" in line


def test_a_mistake_is_plain_lines_and_exit_code_1(project):
    """No traceback reaches a person who mistyped a setting, and nothing is half written."""
    set_params(project, dataset__synthetic__species="many", dataset__synthetic__image_size=5)
    result = subprocess.run(
        [sys.executable, "-m", "stages.fetch"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert [line.split(": ")[2].split(" =")[0] for line in result.stderr.splitlines()] == [
        "dataset.synthetic.species",
        "dataset.synthetic.image_size",
    ]
    assert list(project.glob("data/*")) == []
