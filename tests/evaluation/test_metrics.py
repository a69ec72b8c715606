"""Scores mean what their names say."""

import json

import numpy as np
import pytest
from sklearn import metrics

from stages.evaluation.metrics import numbered, scores

NAMES = ["crow", "jay", "rook"]


def test_a_case_worked_by_hand():
    """Four images, three right; the crow that was taken for a rook lowers crow's recall and rook's precision."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.2, 0.5], [0.1, 0.7, 0.2], [0.25, 0.25, 0.5]])
    result = scores(probabilities, np.array([0, 0, 1, 2]), NAMES)
    assert result["accuracy"] == 0.75
    assert result["top5_accuracy"] == 1.0
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert result["loss"] == pytest.approx(-np.log([0.8, 0.3, 0.7, 0.5]).mean())
    assert result["class_accuracy"] == {"crow": 0.5, "jay": 1.0, "rook": 1.0}
    assert (result["labels"], result["predicted"], result["groups"]) == ("0 0 1 2", "0 2 1 2", "")
    assert result["balanced_accuracy"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert result["ranked_by"] == "balanced_accuracy"  # two crows, one rook
    assert scores(probabilities[1:], np.array([0, 1, 2]), NAMES)["ranked_by"] == "accuracy"
    assert result["images"] == 4


def test_top_five_counts_the_true_class_among_the_five_most_probable():
    """With ten classes and falling probabilities, classes 0 to 4 are in and the others out."""
    probabilities = np.tile(np.arange(10, 0, -1) / 55, (10, 1))
    assert scores(probabilities, np.arange(10), [str(label) for label in range(10)])["top5_accuracy"] == 0.5


def test_a_class_that_is_never_predicted_scores_zero():
    """No division by zero, and macro F1 pays for it."""
    result = scores(np.array([[0.9, 0.05, 0.05]] * 3), np.array([0, 1, 2]), NAMES)
    assert result["macro_f1"] == pytest.approx(0.5 / 3)


def test_right_names_each_image_in_its_order():
    """A digit an image, short enough for a file that Git keeps; their mean is the accuracy."""
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet([1, 1, 1], 50), rng.integers(0, 3, 50)
    result = scores(probabilities, labels, NAMES)
    expected = [int(list(row).index(max(row)) == label) for row, label in zip(probabilities, labels, strict=True)]
    named = np.array(result["predicted"].split(), int)
    assert (named == labels).tolist() == expected
    assert result["accuracy"] == sum(expected) / 50


def test_a_record_does_not_grow_with_the_square_of_the_classes():
    """Git keeps one for each run: of 1,000 classes a dense confusion matrix would be megabytes."""
    labels = np.arange(4_000) % 1_000
    probabilities = np.random.default_rng(0).dirichlet(np.ones(1_000), 4_000)
    record = scores(probabilities, labels, [f"class {number:03}" for number in range(1_000)])
    assert len(json.dumps(record, indent=2)) < 100_000


def test_scores_are_those_of_scikit_learn():
    """Which takes a second to import, and eight evaluations of a study would each pay it."""
    rng = np.random.default_rng(1)
    probabilities, labels = rng.dirichlet([0.05] * 7, 400), rng.permutation(np.arange(400) % 6)
    labels[:7] = range(7)
    probabilities[7] = np.eye(7)[0]  # sure, and wrong
    labels[7] = 1
    predicted, classes = probabilities.argmax(axis=1), list(range(7))
    result = scores(probabilities, labels, [str(label) for label in classes])
    assert result["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert result["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert result["macro_f1"] == pytest.approx(metrics.f1_score(labels, predicted, labels=classes, average="macro"))
    assert result["loss"] == pytest.approx(metrics.log_loss(labels, probabilities, labels=classes))


def test_images_of_a_group_share_a_number():
    """An image without a group has one of its own; without any group there are no numbers."""
    assert numbered(["burst", "", "burst", ""]) == [0, 1, 0, 2]
    assert numbered(["", ""]) == numbered([]) == []
