"""Stage prepare: every image once, in one split, at one size; bad ones are named together."""

import os
import shutil
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from helpers.projects import ROOT, set_params
from stages import prepare
from stages.images.reading import decode, resized
from stages.images.shards import class_names, preparation, read_rows
from stages.networks.common.image_set import load_images
from stages.runtime.errors import UserError
from stages.runtime.files import read_csv, read_json
from tests.conftest import write_images

SPLITS = ("original", "validation", "test")
COMPOSITION = "data/composition.json"


@pytest.fixture
def raw(project):
    """Two classes of ten images in data/raw."""
    set_params(project, prepare__image_size=32)
    return write_images(project / "data/raw", {"crow": 10, "jay": 10})


def paths(split: str) -> list[str]:
    return [row.path for row in read_rows(f"data/{split}")]


def prepared() -> dict[str, list[str]]:
    prepare.main()
    return {split: sorted(paths(split)) for split in SPLITS}


def refused(project) -> tuple[str, ...]:
    with pytest.raises(UserError) as raised:
        prepare.main()
    assert [path.name for path in project.glob("data/*")] == ["raw"]
    return raised.value.lines


def test_every_image_is_in_one_split(raw):
    """Three of ten for the test, one of the rest for validation, in each class."""
    splits = prepared()
    assert sorted(chain(*splits.values())) == sorted(f.relative_to(raw).as_posix() for f in raw.rglob("*.png"))
    for name in ("crow", "jay"):
        counts = [sum(path.startswith(name) for path in splits[split]) for split in SPLITS]
        assert counts == [6, 1, 3]


def test_images_are_resized_and_labelled_in_name_order(raw):
    """Squares of image_size; the label is the class's place in the alphabet."""
    Image.new("RGB", (32, 32)).save(raw / "crow/large.png")
    prepare.main()
    assert class_names("data/test") == ["crow", "jay"]
    for row in read_rows("data/test"):
        assert decode(row.encoded).shape == (32, 32, 3)
        assert row.label == ["crow", "jay"].index(row.path.split("/")[0])


@pytest.mark.parametrize(("fit", "size"), [("crop", 30), ("squash", 30), ("pad", 40)])
def test_a_set_of_small_images_is_stored_small_and_says_so(raw, project, fit, size):
    """Images of 40 x 30 pixels hold no more than 30 (with pad 40) a side, whatever size networks want."""
    set_params(project, prepare__image_size=224, prepare__fit=fit, prepare__white_level=4095)
    Image.new("RGB", (10, 20)).save(raw / "crow/smaller.png")
    prepare.main()
    for split in SPLITS:
        assert {decode(row.encoded).shape for row in read_rows(f"data/{split}")} == {(size, size, 3)}
        assert preparation(f"data/{split}") == {
            "image_size": size, "fit": fit, "jpeg_quality": 95,
            "pixel_limit": 100_000_000, "white_level": 4095,
            "interpolation": {"shrinking": "area", "enlarging": "bicubic"},
        }  # fmt: skip


def test_networks_see_small_images_at_the_size_that_is_set(raw, project):
    """They are enlarged as they are read, so that every network has the pixels that it needs."""
    set_params(project, prepare__image_size=64)
    prepare.main()
    (first, *_), images = read_rows("data/test"), load_images("data/test", torch.device("cpu"), 64)
    assert images.pixels.shape == (6, 64, 64, 3)
    assert np.array_equal(images.pixels[0].numpy(), resized(decode(first.encoded), 64))


def test_one_large_image_keeps_the_size_that_is_set(raw, project):
    """A set has one size: networks see all of what its largest image holds."""
    set_params(project, prepare__image_size=64)
    Image.new("RGB", (300, 200)).save(raw / "jay/large.png")
    prepare.main()
    assert preparation("data/test")["image_size"] == 64
    set_params(project, prepare__pixel_limit=50_000, prepare__on_bad_image="skip")
    prepare.main()
    assert preparation("data/test")["image_size"] == 30


def test_the_split_depends_on_names_and_seed_alone(raw, project):
    """A new image moves no other between training and test but at the margin; another seed moves many."""
    before = prepared()
    assert prepared() == before
    Image.new("RGB", (40, 30)).save(raw / "crow/zzz.png")
    after = prepared()
    assert len(set(before["test"]) - set(after["test"])) <= 1
    assert [path for path in after["test"] if path.startswith("jay")] == [
        path for path in before["test"] if path.startswith("jay")
    ]
    set_params(project, seed=2)
    assert prepared()["test"] != after["test"]


def test_an_official_test_set_stays_as_published(project):
    """Validation is carved from train/ alone."""
    set_params(project, prepare__image_size=32)
    for part, count in (("train", 10), ("test", 4)):
        size = (40, 30 if part == "train" else 31)
        write_images(project / "data/raw" / part, {"crow": count, "jay": count}, size)
    splits = prepared()
    assert splits["test"] == [f"test/{name}/00{number}.png" for name in ("crow", "jay") for number in range(4)]
    assert [len(splits[split]) for split in SPLITS] == [16, 4, 8]
    assert all(path.startswith("train/") for path in splits["validation"])


def test_two_workers_write_the_bytes_of_one(raw, monkeypatch):
    """Cores change the time, never the result."""
    files = {}
    for workers in ("1", "2"):
        monkeypatch.setenv("STUDY_WORKERS", workers)
        prepare.main()
        files[workers] = [Path(f"data/{split}/00000.parquet").read_bytes() for split in SPLITS]
    assert files["1"] == files["2"]


def test_classes_too_small_to_split_are_all_named(project):
    """One line each, with the settings that ask for more."""
    write_images(project / "data/raw", {"crow": 2, "jay": 10, "rook": 1})
    lines = refused(project)
    assert [line.split(" (")[0] for line in lines] == [
        "data/raw: class 'crow' has 2, but needs at least 3 images",
        "data/raw: class 'rook' has 1, but needs at least 3 images",
    ]
    assert "prepare.test_fraction = 0.3" in lines[0]


def test_fractions_that_leave_nothing_to_train_on_are_to_blame(project):
    """Ten images are enough; nine for the test and one for validation leave none."""
    write_images(project / "data/raw", {"crow": 10, "jay": 100})
    set_params(project, prepare__test_fraction=0.9)
    (line,) = refused(project)
    assert line.startswith(
        "data/raw: class 'crow' has 10, and the test's and validation's shares leave none to train on ("
    )
    assert "smaller fractions" in line


def test_every_bad_file_is_named_at_once_or_skipped_and_listed(raw, project):
    """With its reason, and what can be done about it; the other images are all there."""
    (raw / "crow/000.png").write_bytes(b"")
    (raw / "jay/notes.txt").write_text("not an image")
    reasons = {
        "data/raw/crow/000.png": "the file is empty",
        "data/raw/jay/notes.txt": "not an image, or of a format that cannot be read",
    }
    assert refused(project) == (
        *(f"{file}: {reason}" for file, reason in reasons.items()),
        "data/raw is a copy: mend or remove these files where it was copied from, or set prepare.on_bad_image: skip",
    )
    set_params(project, prepare__on_bad_image="skip")
    assert len(list(chain(*prepared().values()))) == 19
    assert {row["file"]: row["reason"] for row in read_csv("data/skipped.csv")} == reasons


def test_a_class_that_skipping_empties_is_an_error(raw, project):
    """No network can learn a class without images."""
    for file in (raw / "jay").iterdir():
        file.write_bytes(b"")
    set_params(project, prepare__on_bad_image="skip")
    lines = refused(project)
    assert set(lines[:-1]) == {
        f"data/raw: class 'jay' has no {split} image left without bad files and copies" for split in SPLITS
    }


def test_a_killed_stage_leaves_nothing_that_looks_finished_and_no_process(project):
    """Pull the plug in the middle: no shard folder has its final name, and the workers end by themselves."""
    set_params(project, prepare__image_size=512)
    write_images(project / "data/raw", {"crow": 300, "jay": 300})
    Image.new("RGB", (512, 512)).save(project / "data/raw/crow/large.png")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "STUDY_WORKERS": "2"}
    with subprocess.Popen([sys.executable, "-m", "stages.prepare"], env=environment) as stage:
        process = psutil.Process(stage.pid)
        while len(process.children(recursive=True)) < 4 or not list(project.glob("data/*/*.parquet")):  # all at work
            assert stage.poll() is None
            time.sleep(0.01)
        workers = process.children(recursive=True)
        stage.kill()
    assert [path.name for path in project.glob("data/*") if not path.name.endswith(".unfinished")] == ["raw"]
    assert psutil.wait_procs(workers, timeout=10)[1] == []


@pytest.fixture
def copied(project):
    """An official split with a test image that is also in training, and one training image in two classes."""
    set_params(project, prepare__image_size=32)
    for part, count in (("train", 8), ("test", 2)):
        write_images(
            project / "data/raw" / part, {"crow": count, "jay": count}, size=(40, 30 if part == "train" else 31)
        )
    raw = project / "data/raw"
    leaked = Image.open(raw / "test/crow/000.png")
    leaked.save(raw / "train/crow/leak.bmp")  # another file, the same pixels
    leaked.save(raw / "train/jay/leak.tiff")
    twice = np.random.default_rng(99).integers(0, 255, (30, 40, 3), np.uint8)
    for name in ("train/crow/twice.png", "train/jay/twice.png"):
        Image.fromarray(twice).save(raw / name)
    again = Image.open(raw / "test/jay/001.png")
    again.save(raw / "test/jay/again.png")  # twice in one class of one split: no leak
    return project


def duplicates() -> list[tuple[str, str, str]]:
    return sorted((row["file"], row["same_as"], row["dropped"]) for row in read_csv("data/duplicates.csv"))


def test_copies_of_test_images_leave_training_and_test_stays(copied):
    """By their pixels, whatever the format; of an image in two classes one stays; every copy is listed."""
    splits = prepared()
    assert len(splits["test"]) == 5
    training = splits["original"] + splits["validation"]
    assert [path for path in training if "leak" in path] == []
    assert len([path for path in training if "twice" in path]) == 1
    listed = duplicates()
    assert [(file, twin) for file, twin, _ in listed[1:3]] == [
        ("data/raw/train/crow/leak.bmp", "data/raw/test/crow/000.png"),
        ("data/raw/train/jay/leak.tiff", "data/raw/test/crow/000.png"),
    ]
    assert [dropped for _, _, dropped in listed] == ["False"] + ["True"] * 3
    assert set(listed[0][:2]) == {"data/raw/test/jay/again.png", "data/raw/test/jay/001.png"}


def test_copies_can_be_kept_or_refused(copied):
    """The person decides, knowing: kept copies are listed all the same, refused ones named with their twins."""
    set_params(copied, prepare__duplicates="error")
    lines = refused(copied)
    assert len(lines) == 4
    assert sum(line.endswith("is the same image as data/raw/test/crow/000.png (test, crow)") for line in lines) == 2
    assert lines[-1] == "remove these copies at their source, or set prepare.duplicates: drop"
    set_params(copied, prepare__duplicates="keep")
    assert len(list(chain(*prepared().values()))) == 25
    assert [dropped for _, _, dropped in duplicates()] == ["False"] * 4


def test_a_class_of_nothing_but_copies_is_an_error(copied):
    """Dropping must not leave a class that cannot be learnt."""
    for file in (copied / "data/raw/train/jay").iterdir():
        Image.open(copied / "data/raw/test/crow/000.png").save(file.with_suffix(".png"))
    lines = refused(copied)
    assert "data/raw: class 'jay' has no original image left without bad files and copies" in lines


@pytest.mark.parametrize(
    ("setting", "value"),
    [("image_size", 8), ("test_fraction", 1.5), ("jpeg_quality", "best"), ("on_bad_image", "fix"), ("fit", "zoom")],
)
def test_settings_out_of_range_are_refused(raw, project, setting, value):
    """The key and the value are in the line."""
    set_params(project, **{f"prepare__{setting}": value})
    (line,) = refused(project)
    assert f"prepare.{setting} = {value!r} is not allowed" in line


def test_pixels_survive(project):
    """An image of the right size comes out as it went in, but for what JPEG takes."""
    set_params(project, prepare__image_size=32)
    gradient = np.dstack([np.tile(np.arange(32, dtype=np.uint8) * 7, (32, 1))] * 3)
    write_images(project / "data/raw", {"jay": 3})
    (project / "data/raw/crow").mkdir()
    for number in range(3):
        Image.fromarray(np.roll(gradient, number, axis=1)).save(project / f"data/raw/crow/{number}.png")
    prepare.main()
    (row,) = [row for row in read_rows("data/test") if row.path.startswith("crow")]
    number = int(Path(row.path).stem)
    assert np.abs(decode(row.encoded).astype(int) - np.roll(gradient, number, axis=1)).max() <= 8


@pytest.mark.parametrize(("fit", "seen"), [("crop", 0), ("pad", 16), ("squash", 32)])
def test_the_head_of_the_bird_may_stay_in_the_image(project, fit, seen):
    """What is at the edge of a wide image is cut away, or seen at the height that `prepare.fit` gives it."""
    set_params(project, prepare__image_size=32, prepare__fit=fit)
    for name in ("crow", "jay"):
        (project / "data/raw" / name).mkdir(parents=True)
        for number in range(3):
            wide = np.full((40, 80, 3), 20 * number + len(name), np.uint8)
            wide[:, :10] = 255
            Image.fromarray(wide).save(project / f"data/raw/{name}/{number}.png")
    prepare.main()
    for row in read_rows("data/original"):
        assert (decode(row.encoded)[:, 0, 0] > 200).sum() == seen


def write_deep(folder: Path, levels: dict[str, int]) -> None:
    """Write three images of 16 bits a channel for each class, flat but for a pixel that tells them apart."""
    for name, level in levels.items():
        folder.joinpath(name).mkdir(parents=True)
        for number in range(3):
            flat = np.full((32, 32), level, np.uint16)
            flat[0, number] = 0
            Image.fromarray(flat).save(folder / name / f"{number}.png")


def flat_levels() -> dict[str, int]:
    rows = [row for split in SPLITS for row in read_rows(f"data/{split}")]
    return {row.path.split("/")[0]: round(float(decode(row.encoded).mean())) for row in rows}


@pytest.mark.parametrize(
    ("levels", "shown", "white"),
    [
        ({"dark": 1000, "light": 4000}, {"dark": 62, "light": 250}, 4095),
        ({"dark": 250, "light": 1000}, {"dark": 62, "light": 250}, 1023),
        ({"dark": 1000, "light": 64000}, {"dark": 3, "light": 250}, 65535),
    ],
)
def test_16_bit_images_are_as_bright_as_the_set_needs(project, capsys, levels, shown, white):
    """One white for all, so that brightness still tells classes apart; and what was found is said."""
    set_params(project, prepare__image_size=32)
    write_deep(project / "data/raw", levels)
    prepare.main()
    assert flat_levels() == pytest.approx(shown, abs=1)
    assert capsys.readouterr().out == (
        f"6 images have 16 bits a channel; the brightest value in them is {levels['light']}, so {white} is white"
        " (prepare.white_level: auto)\n"
    )


def test_the_white_level_may_be_said(project, capsys):
    """What is known need not be found."""
    set_params(project, prepare__image_size=32, prepare__white_level=16383)
    write_deep(project / "data/raw", {"dark": 1000, "light": 4000})
    prepare.main()
    assert flat_levels() == pytest.approx({"dark": 15, "light": 62}, abs=1)
    assert capsys.readouterr().out == ""


def test_a_few_brighter_images_are_named(project, capsys):
    """One image of another camera makes all others dark: the person hears which."""
    set_params(project, prepare__image_size=32)
    for name in ("crow", "jay"):
        (project / "data/raw" / name).mkdir(parents=True)
        for number in range(15):
            level = 60000 if (name, number) == ("jay", 4) else 4000
            noise = np.random.default_rng([len(name), number]).integers(0, level, (8, 8), np.uint16, endpoint=True)
            Image.fromarray(noise).save(project / f"data/raw/{name}/{number}.png")
    prepare.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        "only 1 of them need 16 bits, data/raw/jay/4.png for one: if they are not like the others, which may come out"
        " dark, remove them or set prepare.white_level"
    )


def clouds(*seed: int) -> Image.Image:
    """Draw soft clouds, of which each seed gives others."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.fixture
def lookalikes(project):
    """An official split; in training stand a smaller JPEG, a mirrored and a cropped copy of test images of crow."""
    set_params(project, prepare__image_size=32)
    for part, count in (("train", 8), ("test", 3)):
        for name in ("crow", "jay"):
            (project / "data/raw" / part / name).mkdir(parents=True)
            for number in range(count):
                clouds(len(part), len(name), number).save(project / f"data/raw/{part}/{name}/{number}.png")
    first, second, third = (clouds(4, 4, number) for number in range(3))
    raw = project / "data/raw/train"
    first.resize((80, 60)).save(raw / "crow/smaller.jpg", quality=60)
    second.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(raw / "jay/mirrored.jpg", quality=90)
    third.crop((1, 1, 159, 119)).save(raw / "crow/cropped.png")
    return project


def near() -> dict[str, tuple[str, str, str]]:
    rows = read_csv("data/duplicates.csv")
    assert all(0 <= int(row["distance"]) <= 31 for row in rows)
    return {row["file"]: (row["same_as"], row["kind"], row["dropped"]) for row in rows}


@pytest.mark.parametrize("max_distance", ["none", 31])
def test_near_copies_are_listed_and_may_count_as_copies(lookalikes, max_distance):
    """A smaller JPEG, a mirrored and a cropped copy of test images are listed; they leave training if so wished."""
    set_params(lookalikes, prepare__near_duplicate_distance=max_distance)
    splits = prepared()
    dropped = str(max_distance == 31)
    assert near() == {
        "data/raw/train/crow/smaller.jpg": ("data/raw/test/crow/0.png", "near", dropped),
        "data/raw/train/jay/mirrored.jpg": ("data/raw/test/crow/1.png", "mirrored", dropped),
        "data/raw/train/crow/cropped.png": ("data/raw/test/crow/2.png", "near", dropped),
    }
    named = [path for path in chain(*splits.values()) if path.endswith(("smaller.jpg", "mirrored.jpg", "cropped.png"))]
    assert (len(named), len(splits["test"]), len(list(chain(*splits.values())))) == (
        (0, 6, 22) if max_distance == 31 else (3, 6, 25)
    )
    assert not list(Path("data").glob("*.unfinished*"))
    shares = {name: part.get("share_copied_in_training") for name, part in read_json(COMPOSITION)["splits"].items()}
    assert shares == {"test": 0 if max_distance == 31 else 0.5, "validation": 0, "original": None}


def test_near_copies_may_be_refused(lookalikes):
    """Each is named with its twin and how alike they are."""
    set_params(lookalikes, prepare__duplicates="error", prepare__near_duplicate_distance=31)
    lines = refused(lookalikes)
    assert len(lines) == 4
    assert sum("looks like data/raw/test/crow/1.png (test, crow) (mirrored, " in line for line in lines) == 1


def test_frames_of_one_video_are_said_to_be_copies(project):
    """All that is tested looks like what is trained on: the share stands in data/composition.json."""
    set_params(project, prepare__image_size=32)
    for name in ("crow", "jay"):
        (project / "data/raw" / name).mkdir(parents=True)
        for number in range(12):
            frame = clouds(len(name)).crop((number, 0, 140 + number, 120))
            frame.save(project / f"data/raw/{name}/{number:02}.png")
    prepare.main()
    assert read_json(COMPOSITION)["splits"]["test"]["share_copied_in_training"] >= 0.9


def test_test_images_that_look_alike_are_a_group(lookalikes):
    """A copy within the test set is no second observation; neither is what is the same image."""
    raw = lookalikes / "data/raw/test/crow"
    Image.open(raw / "2.png").resize((90, 68)).save(raw / "again.png")
    shutil.copyfile(raw / "again.png", raw / "twice.png")
    prepare.main()
    groups = {row.path.removeprefix("test/"): row.group for row in read_rows("data/test")}
    assert {path for path, group in groups.items() if group == groups["crow/2.png"]} == {
        "crow/2.png", "crow/again.png", "crow/twice.png"
    }  # fmt: skip
    assert [groups[f"jay/{number}.png"] for number in range(3)] == ["", "", ""]


def test_a_set_of_one_scene_is_told_from_no_copies(project, monkeypatch, capsys):
    """Where nearly all images look alike, the person hears that copies cannot be told; dropping them is refused."""
    monkeypatch.setattr("stages.images.perceptual_hash.MAX_PAIRS", 100)
    set_params(project, prepare__image_size=32, prepare__near_duplicate_distance=0)
    write_images(project / "data/raw", {"crow": 10, "jay": 10})
    assert refused(project)[0].endswith("set prepare.near_duplicate_distance: none")
    set_params(project, prepare__near_duplicate_distance="none")
    prepare.main()
    assert read_json(COMPOSITION)["splits"]["test"]["share_copied_in_training"] is None
    assert "nearly all images look alike" in capsys.readouterr().out


def test_images_of_one_group_stay_on_one_side(project):
    """Ten animals of each class with five images each, in folders or by their names: three for the test."""
    set_params(project, prepare__image_size=32, prepare__group_by="folder")
    for name in ("crow", "jay"):
        write_images(project / "data/raw" / name, {f"{name} {animal}": 5 for animal in range(10)}, (32 + len(name), 32))
    animals = [{path.rpartition("/")[0] for path in paths} for paths in prepared().values()]
    assert [len(some) for some in animals] == [12, 2, 6]
    assert len(set.union(*animals)) == 20
    set_params(project, prepare__group_by=r"(\d)/\d+.png$")
    numbers = [{path.rpartition("/")[0][-1] for path in paths} for paths in prepared().values()]
    assert [len(some) for some in numbers] == [6, 1, 3]
    set_params(project, prepare__group_by="(unclosed")
    with pytest.raises(UserError, match=r"prepare\.group_by = '\(unclosed' is not allowed: must be none, folder or a"):
        prepare.main()


def test_a_table_of_the_source_may_group_images(raw):
    """data/raw/labels.csv says which belong together."""
    rows = [f"{name}/{number:03}.png,{name},,{number // 2}" for name in ("crow", "jay") for number in range(10)]
    (raw / "labels.csv").write_text("\n".join(["file,class,split,group", *rows]) + "\n", encoding="utf-8")
    groups = [{int(path[-7:-4]) // 2 for path in paths} for paths in prepared().values()]
    assert sorted(chain(*groups)) == [0, 1, 2, 3, 4]
    for split in SPLITS:
        assert all(row.group == str(int(row.path[-7:-4]) // 2) for row in read_rows(f"data/{split}"))


def test_validation_takes_whole_groups_beside_an_official_test(project):
    """And a group on both sides of the source's own split is refused."""
    set_params(project, prepare__image_size=32, prepare__group_by="folder", prepare__validation_fraction=0.25)
    raw = project / "data/raw"
    for part, animals in (("train", "abcd"), ("test", "ef")):
        for name in ("crow", "jay"):
            sizes = (32 + len(part), 30 + len(name))
            write_images(raw / part / name, {f"{name} {animal}": 4 for animal in animals}, sizes)
    splits = prepared()
    assert [len(splits[split]) for split in SPLITS] == [24, 8, 16]
    assert len({path.rpartition("/")[0] for path in splits["validation"]}) == 2
    for split in SPLITS:
        shutil.rmtree(f"data/{split}")
    for name in ("skipped.csv", "duplicates.csv", "composition.json"):
        Path(f"data/{name}").unlink()
    (raw / "test/crow/crow e").rename(raw / "test/crow/crow a")
    assert refused(project)[0].startswith("group crow a stands in several splits: data/raw/train/crow/crow a/000.png (")
