"""Which images a person is shown."""

import cv2
import numpy as np
import pyarrow.parquet as pq

from stages.explanation.examples import HARD_CLASS, MISTAKE, Example, choose_examples, encode_heat_map, write_examples


def said(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows)


def test_the_surest_mistakes_come_first_then_the_hardest_classes():
    """A class that is always named correctly is not hard; no image comes twice."""
    probabilities = said((0.9, 0.1, 0.0), (0.2, 0.7, 0.1), (0.6, 0.3, 0.1), (0.1, 0.8, 0.1), (0.4, 0.5, 0.1), (0, 0, 1))
    labels = np.array([0, 0, 1, 1, 1, 2])
    assert choose_examples(probabilities, labels) == [
        Example(1, MISTAKE),
        Example(2, MISTAKE),
        Example(0, HARD_CLASS),  # of class 0 half are correct, of class 1 two in three
        Example(4, HARD_CLASS),
        Example(3, HARD_CLASS),
    ]


def test_equally_sure_mistakes_come_in_the_order_of_the_images():
    """The same images each time."""
    assert [look.row for look in choose_examples(np.full((4, 3), 1 / 3), np.array([1, 1, 2, 2]))] == [0, 1, 2, 3]


def test_where_all_is_correct_there_is_nothing_to_see():
    """Neither a mistake nor a hard class."""
    assert choose_examples(np.eye(3), np.array([0, 1, 2])) == []


def test_of_many_mistakes_in_many_classes_a_few_are_shown():
    """12, and two of each of 6 classes."""
    examples = choose_examples(np.roll(np.eye(200), 1, axis=1).repeat(5, axis=0), np.arange(200).repeat(5))
    assert [look.why for look in examples] == [MISTAKE] * 12 + [HARD_CLASS] * 12
    assert len({look.row for look in examples}) == 24


def test_examples_are_a_table_that_says_what_it_is(tmp_path):
    """And the same bytes each time."""
    columns = {"path": ["a.jpg", "b.jpg"], "label": [0, 1], "probability": [0.5, 1.5]}
    for name in ("one", "two"):
        write_examples(tmp_path / f"{name}.parquet", columns, ["jay", "Eule ü"])
    table = pq.read_table(tmp_path / "one.parquet")
    assert table.to_pydict() == columns
    assert table.schema.metadata == {b"study": '{"class_names": ["jay", "Eule ü"]}'.encode()}
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_a_heat_map_is_kept_as_a_small_grey_image():
    """Black to white."""
    heat_map = np.zeros((4, 4), np.float32)
    heat_map[0, 3] = 1
    image = cv2.imdecode(np.frombuffer(encode_heat_map(heat_map), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape == (64, 64)
    assert (image[0, 63], image[63, 0]) == (255, 0)
