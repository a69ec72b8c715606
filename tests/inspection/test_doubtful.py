"""Labels that networks doubt which did not learn them."""

import numpy as np
from scipy.special import softmax

from stages.inspection.doubtful import DoubtfulLabel, find_doubtful_labels
from stages.training.head import assigned_folds, cross_validated


def test_a_label_is_doubted_where_another_is_far_more_probable():
    """The least probable label first; neither what is undecided nor what is spread over many classes."""
    probabilities = np.array(
        [[0.97, 0.02, 0.01], [0.04, 0.9, 0.06], [0.01, 0.29, 0.7], [0.3, 0.6, 0.1], [0.05, 0.48, 0.47]]
    )
    found = find_doubtful_labels(probabilities, np.array([0, 2, 0, 0, 0]))
    assert found == [DoubtfulLabel(2, 2, 0.01, 0.7), DoubtfulLabel(1, 1, 0.06, 0.9)]


def test_changed_labels_are_found():
    """Of 30 labels changed in 600, nearly all are among the first 60 by probability, and most are doubted."""
    rng = np.random.default_rng(0)
    actual = np.arange(600) % 6
    features = np.abs(rng.normal(size=(600, 20)) + 4 * np.eye(6, 20)[actual])
    changed = rng.choice(600, 30, replace=False)
    labels = actual.copy()
    labels[changed] = (labels[changed] + rng.integers(1, 6, 30)) % 6
    (reached,) = cross_validated(features, labels, 6, assigned_folds(labels), ((0.5,), (0.5,)))
    probabilities = softmax(reached.logits, axis=1)
    order = np.argsort(probabilities[np.arange(600), labels])[:60]
    found = find_doubtful_labels(probabilities, labels)
    assert len({*order.tolist()} & {*changed.tolist()}) >= 28
    assert len({each.row for each in found} & {*changed.tolist()}) >= 20
    assert sum(each.likelier == actual[each.row] for each in found) >= 20


def test_one_image_a_class_and_a_thousand_classes_are_no_trouble():
    """Nothing is doubted where no class can be learned."""
    rng = np.random.default_rng(0)
    labels = np.arange(1000)
    features = rng.uniform(0, 1, (1000, 8))
    (reached,) = cross_validated(features, labels, 1000, assigned_folds(labels), ((0.5,), (0.5,)))
    assert find_doubtful_labels(softmax(reached.logits, axis=1), labels) == []
    assert find_doubtful_labels(np.empty((0, 3)), np.empty(0, np.int64)) == []
