"""The page's charts hold the study's numbers."""

import numpy as np

from stages.reporting import charts


def test_a_confusion_matrix_is_drawn_around_its_names():
    """A cell for each pair that occurs, the share of its row; the middle of a cell is the number of its class."""
    chart = charts.confusion(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 2]]), ["crow", "jay", "owl"])
    cells = {(cell["true"], cell["predicted"]): cell for cell in chart["data"]["values"]}
    assert {pair: (cell["images"], cell["share"]) for pair, cell in cells.items()} == {
        ("crow", "crow"): (3, 0.75),
        ("crow", "jay"): (1, 0.25),
        ("owl", "owl"): (2, 1.0),
    }
    assert chart["layer"][1]["encoding"]["text"]["field"] == "images"
    assert cells["crow", "jay"].items() >= {"row": -0.5, "row_end": 0.5, "column": 0.5, "column_end": 1.5}.items()


def test_classes_that_are_taken_for_each_other_stand_together():
    """Whatever order they had."""
    counts = np.eye(6, dtype=int) * 10
    for one, other in ((0, 5), (1, 3), (2, 4)):
        counts[one, other] = counts[other, one] = 8
    order = charts.cluster_order(counts)
    assert sorted(order) == list(range(6))
    assert {frozenset(order[at : at + 2]) for at in (0, 2, 4)} == {frozenset(pair) for pair in ((0, 5), (1, 3), (2, 4))}


def test_a_class_without_images_does_no_harm():
    """Divided by nothing, it would."""
    assert sorted(charts.cluster_order(np.zeros((40, 40), int))) == list(range(40))


def test_a_verdict_has_the_same_colour_in_every_study():
    """Whichever others stand beside it."""
    row = {
        "technique": "tuned instead of default",
        "with": "mean",
        "points": 1.0,
        "low": 0.0,
        "high": 2.0,
        "mean": True,
    }

    def colour_of(verdict, *others):
        rows = [row | {"verdict": each} for each in (*others, verdict)]
        scale = charts.forest(rows)["layer"][1]["encoding"]["color"]["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=True))[verdict]

    assert colour_of("worse") == colour_of("worse", "better", "undecided")
    assert colour_of("worse") != colour_of("better")
