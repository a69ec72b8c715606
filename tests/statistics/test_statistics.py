"""Claims hold also where the old code was wrong; the number in brackets is that of the issue's list."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import beta, binom, norm, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from stages.statistics.accuracies import accuracies, class_accuracies, equal_classes, mid_p, no_information_rate
from stages.statistics.best import best_configuration, model_confidence_set, out_of_bag_accuracy
from stages.statistics.calibration import calibration_error
from stages.statistics.contrasts import collapsed, distinct, gain_difference, mean_gain, pair_contrasts
from stages.statistics.differences import equivalence_p_values, holm, intervals, judge, p_values
from stages.statistics.estimates import by_group, estimate
from stages.statistics.power import images_needed, power, seeds_needed, smallest_gain
from stages.statistics.rejection import rejection_threshold
from stages.statistics.temperature import best_temperature

PAIR = np.array([[-1.0, 1.0]])


def answers(lost: int, gained: int, both: int = 20, neither: int = 20) -> np.ndarray:
    """Two configurations, one seed each."""
    return np.array([
        np.repeat([1, 0, 1, 0], [lost, gained, both, neither]), np.repeat([0, 1, 1, 0], [lost, gained, both, neither])
    ])[:, None]  # fmt: skip


def drawn(random, seeds=1, images=300, configurations=2, *, luck=0.0, level=0.5, group=1):
    """Answers of equally good configurations; in groups, nine tenths of the variance are the group's."""

    def varied(deviation, *shape):
        shared = np.repeat(random.normal(0, deviation, (*shape, -(-images // group))), group, axis=-1)[..., :images]
        own = random.normal(0, deviation, (*shape, images))
        return shared if group == 1 else np.sqrt(0.9) * shared + np.sqrt(0.1) * own

    lucky = random.normal(0, 1, (configurations, seeds, 1)) * np.reshape(luck, (-1, 1, 1))
    return level + varied(0.8) + varied(0.3, configurations, 1) + lucky + varied(0.5, configurations, seeds) > 0


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("groups", [None, np.arange(60) // 5])
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_all_right_and_all_wrong_have_intervals(right, groups, seeds):
    """[1] And all else that the report computes of them."""
    correct = np.full((3, seeds, 60), right)
    found = accuracies(correct, groups)
    assert (found.high - found.low > 0.04).all()
    assert ((found.low >= 0) & (found.high <= 1)).all()
    estimates = estimate(correct, pair_contrasts(list(combinations(range(3), 2)), np.arange(3)), groups)
    said, _ = judge(estimates)
    assert not (said.better | said.worse | said.equal).any()
    assert best_configuration(correct, np.random.default_rng(0), groups).accuracy == right
    assert model_confidence_set(correct, np.arange(3), groups).all()
    assert np.isfinite(images_needed(estimates, 0.05, seeds)).all()


def test_a_run_that_is_all_right_beside_one_that_is_not():
    """[1] What crashed the report: the luck of the other run is no alpha of this one's 60 of 60."""
    correct = np.ones((2, 3, 60))
    correct[1, 0, :6] = correct[1, 1, :9] = 0
    found = best_configuration(correct, np.random.default_rng(0))
    assert (found.configuration, found.accuracy, found.high) == (0, 1, 1)
    assert 0.8 < found.low < 0.96


def test_three_seeds_that_are_almost_all_right():
    """[1] 97.5 % on 60 images crashed in 22 % of studies."""
    random = np.random.default_rng(0)
    for _ in range(100):
        found = accuracies(random.random((1, 3, 60)) < 0.99)
        assert found.low < found.mean <= found.high <= 1


def test_the_temperature_stays_where_all_is_right():
    """[2] 1, and not at its bound; and where there is something to learn it is learnt."""
    random = np.random.default_rng(0)
    margins = random.choice([-1, 1], 50) * random.uniform(3, 9, 50)
    logits = np.stack([margins, -margins], axis=1)
    assert best_temperature(logits, logits.argmax(axis=1)) == 1
    weak = random.normal(0, 2, (2000, 5))
    labels = (np.exp(weak) / np.exp(weak).sum(axis=1, keepdims=True)).cumsum(axis=1) > random.random((2000, 1))
    assert best_temperature(3 * weak, labels.argmax(axis=1)) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("group", [5, 10])
def test_the_group_is_the_unit(group):
    """[3] Intervals of accuracies and of differences hold the truth, and hold it because of groups."""
    random = np.random.default_rng(group)
    truth = np.mean(drawn(random, images=200_000))
    held = np.zeros(3)
    for _ in range(300):
        correct, groups = drawn(random, group=group), np.arange(300) // group
        of = [accuracies(correct, each) for each in (groups, None)]
        gain = intervals(estimate(correct, PAIR, groups))
        held += [*(np.mean((each.low < truth) & (truth < each.high)) for each in of), gain.low[0] <= 0 <= gain.high[0]]
    assert 0.92 < held[0] / 300 < 0.98
    assert held[1] / 300 < 0.8
    assert 0.92 < held[2] / 300 <= 0.985


def test_mcnemar_of_groups_is_obuchowskis():
    """[3] 1998: the square of the summed differences over the sum of their squares; of single images McNemar's."""
    correct, groups = drawn(np.random.default_rng(3), images=600, group=4), np.arange(600) // 4
    by = by_group((correct[1].astype(float) - correct[0]), groups)[0]
    theirs = 2 * (1 - norm.cdf(abs(by.sum()) / np.sqrt((by**2).sum())))
    assert p_values(estimate(correct, PAIR, groups))[0] == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize(("lost", "gained"), [(3, 11), (11, 3), (0, 9), (40, 20), (1, 0)])
def test_mcnemar_is_that_of_statsmodels(lost, gained):
    """The asymptotic one, which agrees with the score interval; what both know changes nothing."""
    theirs = mcnemar([[20, lost], [gained, 20]], exact=False, correction=False).pvalue
    assert p_values(estimate(answers(lost, gained), PAIR))[0] == pytest.approx(theirs, rel=1e-4)
    assert p_values(estimate(answers(lost, gained, 200, 7), PAIR))[0] == pytest.approx(theirs, rel=1e-4)


def test_every_run_has_its_own_luck():
    """[4] One network's seeds agree, another's do not: Student's t of these, not of their mean variance."""
    correct = np.zeros((2, 3, 30_000))
    for row, share in zip(correct.reshape(6, -1), (0.5, 0.5, 0.5, 0.4, 0.55, 0.65), strict=True):
        row[: int(30_000 * share)] = 1
    assert estimate(correct, PAIR).seeds_degrees_of_freedom[0] == pytest.approx(2)
    theirs = ttest_1samp([0.4, 0.55, 0.65], 0.5).pvalue
    assert p_values(estimate(correct, PAIR))[0] == pytest.approx(theirs, rel=0.05)


def test_pairs_that_were_never_tried_are_left_out():
    """[5] Tuned is default for the first network: the gain is the other's, +20 and not +10 points."""
    runs = np.array([0, 0, 2, 3])  # default, tuned; default, tuned
    assert mean_gain([(0, 1), (2, 3)], runs).tolist() == [0, 0, -1, 1]
    assert mean_gain([(0, 1)], runs) is None
    assert not pair_contrasts([(0, 1)], runs).any()
    assert distinct(collapsed(np.array([[-1.0, 1, 0, 0], [0, -1, 1, 0], [-1, 0, 1, 0]]), runs))[1].tolist() == [
        -1,
        0,
        0,
    ]


def test_techniques_are_compared_over_the_same_networks():
    """[5] What was tried with one network alone is held against what the other technique did there."""
    blocks = np.array([0, 0, 0, 1, 1, 1])  # default, tuned, augmented of each network
    runs = np.array([0, 0, 2, 3, 4, 5])
    assert gain_difference([(0, 2), (3, 5)], [(0, 1), (3, 4)], blocks, runs).tolist() == [0, 0, 0, 0, -1, 1]
    assert gain_difference([(0, 2)], [(0, 1)], blocks, runs) is None


def test_guessing_is_the_commonest_class():
    """[6] 90 of 100, not a half; and who always names it has a balanced accuracy of a half."""
    labels = np.repeat([0, 1], [90, 10])
    assert no_information_rate(labels) == 0.9
    found = accuracies((labels == 0)[None, None], None, equal_classes(labels))
    assert found.mean[0] == pytest.approx(0.5)
    assert found.low[0] < 0.5 < found.high[0]


def test_balanced_accuracy_is_as_sure_as_brodersens():
    """[6] 2010: the mean of two beta variables; ours also stands classes of one image."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [270, 130])
    correct = np.concatenate([np.arange(270) < 240, np.arange(130) < 91])
    theirs = (
        beta.rvs(241, 31, size=10**5, random_state=random) + beta.rvs(92, 40, size=10**5, random_state=random)
    ) / 2
    found = accuracies(correct[None, None], None, equal_classes(labels))
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(np.quantile(theirs, [0.025, 0.975])), abs=0.012)
    ones = accuracies(np.ones((1, 1, 200)), None, equal_classes(np.arange(200)))
    assert ones.low[0] > 0.97


def test_the_best_is_reported_as_good_as_it_is():
    """[7] Eight equal ones on 60 images: seen 6 points too high; corrected within one; the interval holds."""
    random, uncorrected, corrected, held = np.random.default_rng(1), [], [], []
    for _ in range(150):
        found = best_configuration(random.random((8, 1, 60)) < 0.7, random, draws=200)
        uncorrected.append(found.uncorrected - 0.7)
        corrected.append(found.accuracy - 0.7)
        held.append(found.low <= 0.7 <= found.high)
    assert np.mean(uncorrected) > 0.05
    assert abs(np.mean(corrected)) < 0.015
    assert np.mean(held) > 0.92


def test_who_is_best_by_far_needs_no_correction():
    """[7] Nor do identical ones; seeds that differ are part of the choice."""
    random = np.random.default_rng(0)
    far = np.stack([random.random((1, 500)) < 0.9, random.random((1, 500)) < 0.3])
    assert out_of_bag_accuracy(far.astype(float), random) == pytest.approx(far[0].mean(), abs=0.005)
    same = best_configuration(np.repeat(far[:1], 4, axis=0), random)
    assert same.accuracy == same.uncorrected
    lucky = np.repeat(random.normal(0.7, 0.05, (8, 3, 1)) > random.random((8, 3, 1000)), 1, axis=0)
    assert out_of_bag_accuracy(lucky.astype(float), random) < lucky.mean(axis=(1, 2)).max() - 0.02


def test_who_cannot_be_told_from_the_best():
    """[8] By name; identical runs stand and fall together, and ties win nothing."""
    random = np.random.default_rng(0)
    correct = random.random((4, 1, 400)) < np.array([0.9, 0.88, 0.6, 0.9])[:, None, None]
    correct[3] = correct[0]
    assert model_confidence_set(correct, np.array([0, 1, 2, 0])).tolist() == [True, True, False, True]
    told = [model_confidence_set(drawn(random, configurations=6), np.arange(6)).all() for _ in range(200)]
    assert np.mean(told) > 0.92


def test_no_difference_takes_more_than_no_changed_answer():
    """[9] On 200 images none changed leaves a true difference of a point possible; on 3,000 it does not."""
    assert equivalence_p_values(estimate(np.ones((2, 1, 200)), PAIR))[0] > 0.1
    assert equivalence_p_values(estimate(np.ones((2, 1, 3000)), PAIR))[0] < 1e-6
    random = np.random.default_rng(0)
    claims = [
        equivalence_p_values(estimate(np.stack([np.ones((1, 200)), random.random((1, 200)) < 0.99]), PAIR))[0] < 0.05
        for _ in range(500)
    ]
    assert np.mean(claims) <= 0.05


def test_the_score_interval_is_tangos():
    """[9] His example of 1998: 43 right with both, one with one alone; and no answer changed: z^2 / (n + z^2)."""
    found = intervals(estimate(answers(1, 0, 43, 0), PAIR))
    assert (found.low[0], found.high[0]) == pytest.approx((-0.1181, 0.0594), abs=1e-3)
    none = intervals(estimate(answers(0, 0, 100, 100), PAIR))
    assert none.high[0] == pytest.approx(1.96**2 / (200 + 1.96**2), abs=1e-4)


def test_holm_is_that_of_statsmodels():
    """[9] Where logic allows fewer true hypotheses than tests, the factor is theirs (Shaffer)."""
    for values in ([0.01, 0.04, 0.03], [0.5], [0.001] * 4, [1, 0.2, 0.02, 0.02]):
        assert holm(np.array(values)) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm(np.array([0.01, 0.9, 0.02, 0.8]), most_true=2) == pytest.approx([0.02, 1, 0.04, 1])


@pytest.mark.parametrize(("gain", "alpha"), [(0.05, 0.05), (0.05, 0.0025), (0.02, 0.05)])
def test_images_needed_decide_four_times_of_five(gain, alpha):
    """[10] A third changes either way; the old numbers did so in 60 to 63 %."""
    random = np.random.default_rng(7)

    def pair(images):
        kind = random.choice(3, images, p=[0.15 + gain / 2, 0.15 - gain / 2, 0.7])
        return np.stack([kind == 1, kind == 0])[:, None]

    needed = images_needed(estimate(pair(50_000), PAIR), gain, 1, alpha)
    found = np.mean([p_values(estimate(pair(int(needed[0])), PAIR))[0] < alpha for _ in range(600)])
    assert 0.76 < found < 0.85


def test_what_a_test_set_can_decide_is_said_before_it_is_tried():
    """[10] The smallest gain of so many images needs as many; luck that images do not lift needs seeds."""
    estimates = estimate(drawn(np.random.default_rng(0)), PAIR)
    least = smallest_gain(estimates, 300, 1)
    assert images_needed(estimates, float(least[0]), 1)[0] == pytest.approx(300, abs=2)
    assert (
        np.diff([power(estimates, np.array([gain]), np.array([300.0]), 1)[0] for gain in (0.01, 0.05, 0.2)]) > 0
    ).all()
    random = np.random.default_rng(0)
    lucky = estimate(random.random((2, 3, 300)) < np.array([[0.5, 0.6, 0.7], [0.7, 0.6, 0.5]])[..., None], PAIR)
    assert np.isinf(images_needed(lucky, 0.02, 3)[0])
    assert seeds_needed(lucky, 0.2, 300) > 5


def test_one_seed_says_nothing_of_techniques():
    """[11] Its interval is of these very trainings: it holds their difference, not that of the techniques."""
    random = np.random.default_rng(0)
    wrong = [
        p_values(estimate(drawn(random, 1, 1000, luck=(0.1, 0.1)), PAIR))[0] < 0.05 for _ in range(200)
    ]  # fmt: skip
    assert np.mean(wrong) > 0.15  # hence what the report may say: "these two networks"
    right = [p_values(estimate(drawn(random, 3, 1000, luck=(0.1, 0.1)), PAIR))[0] < 0.05 for _ in range(200)]
    assert np.mean(right) < 0.07


def test_a_perfect_network_is_not_told_from_chance():
    """[12] Sixty images show a calibration error of a dozen points by chance; a bad network shows more."""
    random = np.random.default_rng(0)
    confidence = random.uniform(0.4, 1, 60)
    found = [calibration_error(confidence, random.random(60) < confidence, random, draws=200) for _ in range(200)]
    assert np.mean([each.error for each in found]) == pytest.approx(found[0].chance, abs=0.01)
    assert found[0].chance > 0.1
    assert np.mean([each.exceeds_chance for each in found]) < 0.09
    assert calibration_error(confidence, random.random(60) < confidence - 0.4, random).exceeds_chance
    assert calibration_error(confidence, np.ones(60, bool), random, np.arange(60) // 5).chance > found[0].chance


def test_small_classes_are_shrunk_and_doubtful():
    """[14] None of three is not 0 %: its interval is wide; one of a hundred stays where it is."""
    right, shown = np.array([0, 3, 20, 60, 3, 3]), np.array([3, 3, 30, 100, 4, 5])
    found = class_accuracies(right, shown)
    assert 0.2 < found.mean[0] < 0.6
    assert found.mean[3] == pytest.approx(0.6, abs=0.02)
    assert found.high[0] - found.low[0] > 2 * (found.high[3] - found.low[3])


def test_shrunk_classes_hold_the_truth():
    """[14] Twenty classes of six images, or that many equal ones: in 93 to 98 of 100."""
    random, held = np.random.default_rng(0), []
    for strength in (5, 50):
        for _ in range(60):
            truth = random.beta(0.8 * strength, 0.2 * strength, 20)
            found = class_accuracies(random.binomial(6, truth), np.full(20, 6))
            held.append(np.mean((found.low <= truth) & (truth <= found.high)))
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize("seeds", [1, 3])
def test_no_interval_without_zero_beside_undecided(seeds):
    """[15] Intervals hold all together; with them stands and falls each claim."""
    random, apart = np.random.default_rng(0), 0
    contrasts = pair_contrasts(list(combinations(range(6), 2)), np.arange(6))
    for _ in range(100):
        said, _ = judge(estimate(drawn(random, seeds, configurations=6), contrasts))
        without = (said.gain.low > 1e-6) | (said.gain.high < -1e-6)
        assert not (without & ~(said.better | said.worse | said.equal)).any()
        apart += without.any()
    assert apart <= 10


def test_intervals_stay_within_what_is_possible():
    """[16] Also of three seeds that fell far apart, and of leads, which reach from -2 to 2."""
    correct = np.zeros((2, 2, 30))
    correct[1, 0] = 1
    found, of = intervals(estimate(correct, PAIR)), accuracies(correct)
    assert -1 <= found.low[0] < found.high[0] <= 1
    assert ((of.low >= 0) & (of.high <= 1)).all()
    twice = np.concatenate([correct, 1 - correct])
    assert intervals(estimate(twice, np.array([[1.0, -1, -1, 1]]))).low[0] >= -2


def test_the_threshold_rejects_no_more_than_it_says():
    """[16] One in twenty new images at most; below 19 nothing can be said: none are rejected."""
    random = np.random.default_rng(0)

    def threshold(confidence, groups=None):
        probabilities = np.stack([confidence, np.zeros(len(confidence))], axis=1)
        return rejection_threshold(probabilities, np.zeros(len(confidence), int), groups)

    assert threshold(random.random(18)) == threshold(np.zeros(0)) == 0
    assert threshold(np.array([*np.linspace(0.5, 1, 18), 0.3])) == 0.3
    rejected = [np.mean(random.random(1000) < threshold(random.random(50))) for _ in range(400)]
    assert np.mean(rejected) <= 0.05
    assert threshold(random.random(100), np.arange(100) // 10) == 0


@pytest.mark.parametrize(("right", "of"), [(34, 40), (1, 30), (40, 40), (0, 7)])
def test_the_interval_of_an_accuracy_lies_within_clopper_and_pearsons(right, of):
    """That of statsmodels; and at its ends half of as many and all of more have a probability of 2.5 %."""
    low, high = mid_p(np.array([float(right)]), np.array([float(of)]))
    theirs = proportion_confint(right, of, method="beta")
    assert theirs[0] <= low[0] + 1e-9
    assert high[0] <= theirs[1] + 1e-9
    found = accuracies((np.arange(of) < right)[None, None])
    assert (found.low[0], found.high[0]) == pytest.approx((low[0], high[0]))
    if right:
        assert binom.sf(right, of, low[0]) + binom.pmf(right, of, low[0]) / 2 == pytest.approx(0.025, abs=1e-6)
