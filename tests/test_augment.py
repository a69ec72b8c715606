"""Stage augment: the originals and copies of them, altered by the values that stand beside them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from helpers.projects import set_params
from stages import augment
from stages.images.reading import decode, encode
from stages.images.shards import Row, ShardWriter, preparation, read_rows
from stages.runtime.errors import UserError

NEUTRAL = {"shift_x": 0.0, "shift_y": 0.0, "hue": 0.0, "gamma": 1.0, "rotation": 0.0}


def image(seed: int = 0) -> np.ndarray:
    """A smooth colourful image of 32 x 32, so that JPEG keeps it well."""
    y, x = np.mgrid[0:32, 0:32] / 31
    red, green = 60 + 150 * x, 200 - 120 * y
    return np.dstack([red, green, np.full_like(x, 40 + 20 * seed)]).astype(np.uint8)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Albumentations' gamma rounds down: an exponent of 1 may take a level of 255."""
    return np.abs(one.astype(int) - other).max() <= 1


@pytest.fixture
def originals(project):
    """Six training images of two classes."""
    with ShardWriter(Path("data/original"), ["crow", "jay"], preparation={"image_size": 32}) as writer:
        for number in range(6):
            path = f"{'crow' if number < 3 else 'jay'}/{number}.png"
            writer.add(Row(encode(image(number), 95), path, number // 3, group=f"bird {number}"))
    return project


def columns() -> dict[str, list]:
    return pq.read_table("data/augmented").to_pydict()


def test_originals_stay_and_copies_follow(originals):
    """Each original, byte for byte, then its copies with the same label."""
    set_params(originals, augment__copies=2)
    augment.main()
    rows, given = list(read_rows("data/augmented")), list(read_rows("data/original"))
    assert rows[::3] == given
    assert [row.path for row in rows[:3]] == ["crow/0.png", "crow/0.png#1", "crow/0.png#2"]
    assert [row.label for row in rows] == [label for label in (0, 1) for _ in range(9)]
    assert [row.group for row in rows[:4]] == ["bird 0", "bird 0", "bird 0", "bird 1"]
    assert len({row.encoded for row in rows}) == 18
    assert preparation("data/augmented") == {"image_size": 32}


def test_drawn_values_stand_beside_the_copies_within_their_ranges(originals):
    """An original has none; a copy has five, each within what params.yaml allows."""
    set_params(originals, augment__copies=50, augment__gamma=[0.5, 0.6])
    augment.main()
    table = columns()
    for name, low, high in [("shift_x", -0.1, 0.1), ("shift_y", -0.1, 0.1), ("hue", -10, 10), ("gamma", 0.5, 0.6),
                            ("rotation", -15, 15)]:  # fmt: skip
        values = table[name]
        drawn = np.array([value for number, value in enumerate(values) if number % 51])
        assert values[::51] == [None] * 6
        assert low <= drawn.min() < drawn.max() <= high
        assert np.ptp(drawn) > 0.9 * (high - low)


def test_changing_one_range_leaves_the_other_draws(originals):
    """Each value has a random stream of its own."""
    augment.main()
    before = columns()
    set_params(originals, augment__hue=90)
    augment.main()
    after = columns()
    assert before["hue"] != after["hue"]
    assert [before[name] for name in ("shift_x", "gamma", "rotation")] == [
        after[name] for name in ("shift_x", "gamma", "rotation")
    ]


def test_two_workers_write_the_bytes_of_one(originals, monkeypatch):
    """Cores change the time, never the result."""
    files = []
    for workers in ("1", "2"):
        monkeypatch.setenv("STUDY_WORKERS", workers)
        augment.main()
        files.append(Path("data/augmented/00000.parquet").read_bytes())
    assert files[0] == files[1]


def test_neutral_values_change_nothing():
    """No shift, no turn, exponent 1: the image itself."""
    assert alike(augment.apply_transform(image(), NEUTRAL), image())


def test_a_shift_moves_right_and_down_and_mirrors_the_border():
    """A quarter of the width is 8 of 32 pixels; what comes in is the image's own border, not black."""
    moved = augment.apply_transform(image(), NEUTRAL | {"shift_x": 0.25, "shift_y": 0.25})
    assert alike(moved[8:, 8:], image()[:-8, :-8])
    assert alike(moved[8:, 7::-1], image()[:-8, 1:9])


def test_a_half_turn_is_the_image_upside_down():
    """About the centre of the image, by degrees."""
    assert alike(augment.apply_transform(image(), NEUTRAL | {"rotation": 180.0}), image()[::-1, ::-1])


def test_hue_turns_the_colour_circle_by_degrees():
    """A third of the circle makes red green."""
    red = np.full((4, 4, 3), (200, 0, 0), np.uint8)
    assert augment.apply_transform(red, NEUTRAL | {"hue": 120.0})[0, 0].tolist() == [0, 200, 0]


@pytest.mark.parametrize(
    ("degrees", "colour"),
    [(60, (200, 200, 0)), (-60, (200, 0, 200)), (180, (0, 200, 200)), (-180, (0, 200, 200)), (0.3, (200, 1, 0)),
     (-0.3, (200, 0, 1)), (0.9, (200, 3, 0)), (0.1, (200, 0, 0)), (37.5, (200, 125, 0))],
)  # fmt: skip
def test_the_smallest_turn_turns(degrees, colour):
    """Red by 60 degrees is yellow, and by 0.3 degrees 1 of 200 levels of green: nothing is rounded to whole steps."""
    red = np.full((4, 4, 3), (200, 0, 0), np.uint8)
    assert augment.apply_transform(red, NEUTRAL | {"hue": degrees})[0, 0].tolist() == list(colour)


@pytest.mark.parametrize("degrees", [0.5, -77.7, 180])
def test_grey_has_no_hue_to_turn(degrees):
    """All 256 greys stay as they are, to the level."""
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(augment.rotate_hue(greys, degrees), greys)


def test_a_hue_range_below_one_degree_alters_images(originals):
    """augment.hue: 0.9 makes other copies than 0 does, but for draws near 0."""
    set_params(originals, augment__shift=0, augment__rotation=0, augment__gamma=[1, 1], augment__copies=3)
    copies = []
    for hue in (0, 0.9):
        set_params(originals, augment__hue=hue)
        augment.main()
        copies.append([decode(row.encoded) for row in read_rows("data/augmented") if "#" in row.path])
    assert sum(not np.array_equal(*pair) for pair in zip(*copies, strict=True)) >= 12


def test_gamma_is_an_exponent_of_brightness():
    """Below 1 is brighter; black and white stay."""
    greys = np.dstack([np.tile(np.array([0, 64, 255], np.uint8), (3, 1))] * 3)
    assert augment.apply_transform(greys, NEUTRAL | {"gamma": 0.5})[0, :, 0].tolist() == pytest.approx(
        [0, 128, 255], abs=1
    )


def test_no_corner_turns_black():
    """A dark corner would tell copies from originals."""
    bright = np.full((32, 32, 3), 200, np.uint8)
    assert augment.apply_transform(bright, NEUTRAL | {"rotation": 45.0, "shift_x": 0.2}).min() >= 199


@pytest.mark.parametrize(("setting", "value"), [("copies", 0), ("shift", 0.7), ("gamma", [2, 1]), ("rotation", "much")])
def test_settings_out_of_range_are_refused(originals, setting, value):
    """The key is in the line, and data/ has nothing half written."""
    set_params(originals, **{f"augment__{setting}": value})
    with pytest.raises(UserError, match=f"augment.{setting}"):
        augment.main()
    assert [path.name for path in originals.glob("data/*")] == ["original"]


def test_of_many_classes_eight_images_are_kept_with_a_copy_to_show(project):
    """Spread over the classes; where there are fewer classes, several images of one."""
    for classes, expected in ((40, [0, 5, 10, 15, 20, 25, 30, 35]), (3, [0, 1, 2, 0, 1, 2, 0, 1])):
        with ShardWriter(Path("data/augmented"), [str(label) for label in range(classes)], ["hue"]) as writer:
            for label in range(classes):
                for number in range(4):
                    encoded = f"image {label} {number}".encode()
                    writer.add(Row(encoded, f"{label}/{number}", label))
                    writer.add(Row(encoded + b" copy", f"{label}/{number}#1", label, {"hue": 1.0}))
        augment.write_examples()
        pairs = pq.read_table("data/copies.parquet").to_pylist()
        assert [int(pair["original"].split()[1]) for pair in pairs] == expected
        assert all(pair["copy"] == pair["original"] + b" copy" for pair in pairs)
        assert all(pair["hue"] == 1 for pair in pairs)
