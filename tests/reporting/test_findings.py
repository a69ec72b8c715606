"""The published findings are judged by this study's numbers alone."""

import numpy as np
import pytest

from stages.evaluation.metrics import numbers
from stages.reporting.comparisons import Interval, judge_all, outcomes_of
from stages.reporting.findings import epochs_p_value, findings, formatted, leads
from stages.runtime.seeding import stream
from stages.runtime.study import Study

IMAGES = 1000
FULL = Study(networks=["own_cnn", "resnet50"], hyperparameters=["default", "tuned"], data=["original", "augmented"],
             seeds=[1, 2, 3])  # fmt: skip
AUGMENTATION, TOPOLOGY, EPOCHS, CLASSES = range(4)


def found(study: Study = FULL, epochs: tuple[int, int] = (10, 10), needed: dict | None = None,
          classes: int = 2, **gains: int):  # fmt: skip
    """Judge a study in which each change gains so many of 400 images, of which there are 1,000; which, is chance.

    `epochs` are those given to the own CNN and to ResNet50, `needed` those to 95 % of each one's seeds.
    """
    needed = needed or {"own_cnn": (4, 4, 4), "resnet50": (4, 4, 4)}
    records, costs = {}, {}
    for configuration in study.configurations():
        changes = zip(
            configuration, ("resnet50", "tuned", "augmented"), ("network", "tuning", "augmentation"), strict=True
        )
        if gains.get("tuning", 0) is None and configuration.hyperparameters == "tuned":
            records[configuration] = records[configuration._replace(hyperparameters="default")]
            continue
        right = 450 + IMAGES * sum(gains.get(name) or 0 for value, changed, name in changes if value == changed) // 400
        answers = np.arange(IMAGES) >= right
        names = {f"bird {number}": 0.5 for number in range(classes)}
        records[configuration] = [
            {
                "labels": numbers([0] * IMAGES),
                "predicted": numbers(stream(seed, *configuration).permutation(answers) * 1),
                "groups": "",
                "ranked_by": "accuracy",
                "class_accuracy": names,
                "settings": {},
            }
            for seed in study.seeds
        ]
        given = epochs[configuration.network == "resnet50"]
        costs[configuration] = [
            {"epochs": given, "epochs_to_95_percent": number}
            for number in needed[configuration.network][: len(study.seeds)]
        ]
    outcomes = outcomes_of(records)
    judged, p_values = judge_all(outcomes, leads(records, outcomes), epochs_p_value(costs))
    return findings(records, costs, judged, p_values)


def test_they_come_in_their_order():
    """With the study's claims, short."""
    assert [finding.claim for finding in found()] == [
        "Augmentation is the technique that helps most",
        "The topology decides",
        "ResNet50 needs fewer epochs",
        "On 200 classes the gap to ResNet50 widens",
    ]


@pytest.mark.parametrize(("classes", "other"), [(20, 200), (200, 20)])
def test_the_gap_is_to_be_compared_with_a_study_of_the_other_size(classes, other):
    """Twenty classes and two hundred, as published."""
    assert (
        found(classes=classes)[3].numbers
        == f"this study has {classes} classes: `make compare WITH=` the branch of one with {other}"
    )


@pytest.mark.parametrize(
    ("augmentation", "tuning", "verdict"),
    [
        (60, 10, "confirmed"),  # it helps, and more than tuning
        (60, -40, "confirmed"),
        (20, 80, "refuted"),  # it helps, but tuning helps more
        (-30, -90, "refuted"),  # it does harm, if less than tuning
        (40, 40, "undecided"),
        (42, 40, "undecided"),  # more, but other test images might say otherwise
        (1, -60, "undecided"),  # surely more than tuning, but does it help?
    ],
)
def test_whether_augmentation_helps_most(augmentation, tuning, verdict):
    """Only where it surely helps and surely helps more than tuning; refuted where one is surely not so."""
    finding = found(augmentation=augmentation, tuning=tuning, network=30)[AUGMENTATION]
    assert finding.verdict == verdict
    lead = (augmentation - tuning) / 400
    for name, gain in {"augmentation": augmentation / 4, "tuning": tuning / 4, "difference": 100 * lead}.items():
        assert f"{name} {gain:+.1f} (" in finding.numbers


@pytest.mark.parametrize(
    ("network", "tuning", "augmentation", "verdict"),
    [
        (100, 30, 20, "confirmed"),
        (-100, 30, 20, "confirmed"),  # the own CNN may be the better one: the topology decides all the same
        (100, 5, 98, "undecided"),
        (20, 5, 90, "refuted"),
        (-20, 90, 5, "refuted"),
    ],
)
def test_whether_the_topology_decides(network, tuning, augmentation, verdict):
    """Only where it surely makes more difference than each technique."""
    finding = found(network=network, tuning=tuning, augmentation=augmentation)[TOPOLOGY]
    least = (abs(network) - max(tuning, augmentation)) / 400
    assert finding.verdict == verdict
    assert f"ResNet50 instead of the own CNN {network / 4:+.1f} (" in finding.numbers
    assert f"least lead over a technique {100 * least:+.1f} (" in finding.numbers


@pytest.mark.parametrize(("network", "augmentation"), [(0, -60), (20, -100)])
def test_a_technique_that_does_harm_makes_a_difference_too(network, augmentation):
    """Networks that are equal, or less apart than augmentation did harm, decide nothing."""
    assert found(network=network, tuning=-60, augmentation=augmentation)[TOPOLOGY].verdict != "confirmed"


@pytest.mark.parametrize(("seeds", "limits"), [([1], "with one seed each"), ([1, 2], "with two seeds each")])
def test_of_few_trainings_a_finding_is_seen_and_not_confirmed(seeds, limits):
    """Another training may say otherwise."""
    few = FULL.model_copy(update={"seeds": seeds})
    assert found(few, augmentation=60, tuning=-60)[AUGMENTATION].verdict == f"seen {limits}"
    assert found(few, augmentation=-60, tuning=60)[AUGMENTATION].verdict == f"the opposite seen {limits}"
    epochs = found(few, needed={"own_cnn": (8, 8), "resnet50": (3, 3)})[EPOCHS]
    assert epochs.verdict == "undecided"
    assert "3 seeds or more" in epochs.numbers


def test_tuning_that_was_never_tried_is_no_gain_of_zero():
    """Where tuned runs are the default ones nothing is held against augmentation."""
    finding = found(augmentation=60, tuning=None)[AUGMENTATION]
    assert finding.verdict == "not tested"
    assert "tuned other than default" in finding.numbers


@pytest.mark.parametrize(
    ("own", "resnet", "epochs", "verdict"),
    [
        ((9, 9, 8), (3, 3, 2), (10, 10), "confirmed"),
        ((3, 3, 4), (7, 7, 8), (10, 10), "refuted"),
        ((4, 4, 4), (3, 5, 4), (10, 10), "undecided"),
        ((6, 9, 3), (3, 4, 5), (10, 10), "undecided"),  # on average two epochs sooner, but not with each seed
        ((9, 9, 8), (3, 4, 4), (10, 5), "undecided"),
    ],
)
def test_whether_resnet_needs_fewer_epochs(own, resnet, epochs, verdict):
    """By Student's t over seeds, where both networks were given as many; else the race is not fair."""
    finding = found(epochs=epochs, needed={"own_cnn": own, "resnet50": resnet})[EPOCHS]
    assert finding.verdict == verdict
    assert f"ResNet50 {sum(resnet) / 3:.1f}, own CNN {sum(own) / 3:.1f}" in finding.numbers
    assert ("given 5 and 10" in finding.numbers) == (epochs == (10, 5))


@pytest.mark.parametrize(
    ("axis", "value", "judged"),
    [
        ("networks", "own_cnn", {AUGMENTATION}),
        ("networks", "resnet50", {AUGMENTATION}),
        ("hyperparameters", "tuned", {TOPOLOGY, EPOCHS}),
        ("data", "augmented", {TOPOLOGY, EPOCHS}),
    ],
)
def test_what_a_study_leaves_out_it_does_not_test(axis, value, judged):
    """And says what it would take; the claim about 200 classes takes another study."""
    results = found(FULL.model_copy(update={axis: [value]}), network=90, tuning=5, augmentation=40)
    assert {number for number, finding in enumerate(results) if finding.verdict != "not tested"} == judged
    assert all("it takes" in results[number].numbers for number in {AUGMENTATION, TOPOLOGY, EPOCHS} - judged)
    assert "this study has 2 classes" in results[CLASSES].numbers


def test_two_networks_alone_cannot_say_that_the_topology_decides():
    """There is nothing to decide against."""
    alone = FULL.model_copy(update={"hyperparameters": ["default"], "data": ["original"]})
    assert [finding.verdict for finding in found(alone, network=90)] == [
        "not tested", "not tested", "undecided", "not tested",
    ]  # fmt: skip


def test_gains_are_shown_in_points_with_their_bounds():
    """Each with its sign."""
    assert formatted(Interval(-0.0123, -0.05, 0.0254)) == "-1.2 (-5.0 to +2.5)"
