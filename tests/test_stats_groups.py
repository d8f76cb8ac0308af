"""Statistics of images in groups: equal to those of single images where each is on its own, brute force, coverage."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from sparring import stats
from sparring.classifiers.gate import paired_interval
from sparring.stats.variance import design_effect, of_class_means, of_mean, spread_of, units_of
from sparring.study.analysis import recalled
from sparring.study.learning_curve import gain_of_doubling
from sparring.study.probabilities import calibration


def study(rng, *, groups=20, images=10, patient=0.4, accuracy=0.75, repeats=6, uneven=False, draws=0.15):
    """What two equal methods get right, bool [2,R,T], and the group of each image: a probit model with patients."""
    sizes = 1 + rng.poisson(rng.gamma(2, (images - 1) / 2, groups)) if uneven else np.full(groups, images)
    group = np.repeat(np.arange(groups), sizes)
    count = len(group)
    shared = np.sqrt(patient / 2) * rng.standard_normal(groups)[group] + 0.5 * rng.standard_normal(count)
    own = np.sqrt(patient / 2) * rng.standard_normal((2, 1, groups))[:, :, group]
    draw = draws * rng.standard_normal((2, repeats, 1))
    chance = np.sqrt(1 - patient - 0.25 - draws**2) * rng.standard_normal((2, repeats, count))
    return ndtri(accuracy) + shared + own + draw + chance > 0, group


def test_with_one_image_a_group_nothing_changes():
    right, _ = study(np.random.default_rng(0))
    alone, truth = np.random.default_rng(1).permutation(right.shape[2]), np.arange(right.shape[2]) % 3
    weights = stats.class_weights(truth)
    for given in (None, weights):
        plain, grouped = (stats.paired_test(*right, weights=given, groups=g) for g in (None, alone))
        assert grouped.difference.triple == pytest.approx(plain.difference.triple)
        assert (grouped.p, grouped.p_tost) == pytest.approx((plain.p, plain.p_tost))
        assert grouped.spread == pytest.approx(plain.spread)
    plain, grouped = (stats.change_test(*right, groups=g) for g in (None, alone))
    assert grouped.difference.triple == pytest.approx(plain.difference.triple) and grouped.p == pytest.approx(plain.p)
    plain, grouped = (stats.share_interval(right[0], g) for g in (None, alone))
    assert plain.low - 0.006 < grouped.low <= plain.low < plain.high <= grouped.high < plain.high + 0.006
    d = right[0].mean(0) - right[1].mean(0)
    assert paired_interval(d, truth, groups=alone).triple == pytest.approx(paired_interval(d, truth).triple, abs=1e-3)


def test_the_variance_of_a_mean_is_that_of_leaving_out_each_group():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(7), [1, 2, 3, 4, 5, 6, 9])[rng.permutation(30)]
    values = rng.normal(0, 1, 30)
    left = np.array([values[group != g].mean() for g in range(7)])
    assert of_mean(values, group) == pytest.approx(6 / 7 * ((left - values.mean()) ** 2).sum())
    assert of_mean(values[:3], np.zeros(3)) == 0 and units_of(group, 30) == pytest.approx(900 / 172)
    labels = np.tile([0, 1, 2], 10)
    whole = np.mean([values[labels == k].mean() for k in range(3)])
    left = [np.mean([values[(group != g) & (labels == k)].mean() for k in range(3)]) for g in range(7)]
    found, alone = of_class_means(values, labels, group)
    assert found == pytest.approx(6 / 7 * ((np.array(left) - whole) ** 2).sum()) and alone == []
    assert of_class_means(values, np.where(group == 6, 1, 0), group)[1] == [1]


def test_the_design_effect_is_how_often_a_value_comes_again():
    rng = np.random.default_rng(2)
    values, group = rng.random(400), np.repeat(np.arange(400), 6)
    assert design_effect(np.repeat(values, 6), group) == pytest.approx(6, rel=0.01)
    assert design_effect(rng.random(2400), group) == pytest.approx(1, abs=0.15)
    assert design_effect(np.repeat(values, 6), None) == 1 and design_effect(np.ones(12), group[:12]) == 6
    truth, right = np.repeat([0, 1], 1200), (np.repeat(values, 6) < 0.8)[None]
    arm = SimpleNamespace(method="m", budget="5", right=right)
    alone, grouped = (list(recalled(arm, truth, ("a", "b"), g)) for g in (None, group))
    for one, many in zip(alone, grouped, strict=True):
        assert one.right == many.right and many.needed == pytest.approx(6 * one.needed, rel=0.02)


def test_the_interaction_is_that_of_group_sums():
    right, group = study(np.random.default_rng(3), groups=6, images=4)
    values = right[0].astype(float)
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    sums = np.stack([rest[:, group == g].sum(1) / (24 - 4) for g in range(6)])
    assert spread_of(values, groups=group).of_both == pytest.approx(5 / 6 * (sums**2).sum() / (5 * 6))


@pytest.mark.parametrize("uneven", [False, True])
def test_intervals_cover_new_groups_where_those_of_single_images_do_not(uneven):
    rng, held = np.random.default_rng(4), np.zeros((500, 5))
    for row in held:
        right, group = study(rng, uneven=uneven)
        truth = ndtr(ndtri(0.75))
        for place, given in ((0, group), (2, None)):
            share, pair = stats.share_interval(right[0], given), stats.paired_test(*right, groups=given)
            row[place : place + 2] = share.low <= truth <= share.high, pair.difference.low <= 0 <= pair.difference.high
        balanced = stats.balanced_interval(right[0], group % 2, 2, group)
        row[4] = balanced.low <= truth <= balanced.high
    share, difference, share_alone, difference_alone, balanced = held.mean(0)
    assert min(share, difference, balanced) >= 0.94
    assert max(share_alone, difference_alone) < 0.85


def test_before_and_after_covers_new_groups():
    rng, held = np.random.default_rng(5), np.zeros((400, 2))
    for row in held:
        right, group = study(rng)
        for place, given in enumerate((group, None)):
            found = stats.change_test(*right, groups=given).difference
            row[place] = found.low <= 0 <= found.high
    assert held[:, 0].mean() >= 0.94 and held[:, 1].mean() < 0.85


def test_the_gate_passes_rarely_where_nothing_helps_any_patient():
    rng, over = np.random.default_rng(6), np.zeros((500, 2))
    for row in over:
        right, group = study(rng, repeats=1, draws=0)
        difference, labels = right[0, 0].astype(float) - right[1, 0], group % 2
        row[:] = [paired_interval(difference, labels, groups=g).low > 0 for g in (group, None)]
    assert over[:, 0].mean() <= 0.035 and over[:, 1].mean() > 0.06


def test_where_all_is_right_each_group_counts_as_one_image():
    right, group = np.ones((6, 60), bool), np.repeat(np.arange(10), 6)
    assert stats.share_interval(right, group).triple == stats.wilson(10, 10).triple
    assert stats.share_interval(right).triple == stats.wilson(60, 60).triple


def test_of_a_single_group_nothing_is_known():
    right, _ = study(np.random.default_rng(7), groups=1, images=40)
    group, truth = np.zeros(40, int), np.arange(40) % 2
    share = stats.share_interval(right[0], group)
    assert share.triple == stats.wilson(share.mean, 1).triple and share.high - share.low > 0.6
    pair = stats.with_verdicts([stats.paired_test(np.ones((6, 40)), np.zeros((6, 40)), groups=group)])[0]
    assert pair.verdict == "not enough evidence" and np.isfinite(pair.difference.triple).all()
    balanced = stats.balanced_interval(right[0], truth, 2, truth)  # a group for each class
    assert balanced.high - balanced.low > 0.6


def test_sentences_count_groups():
    right, group = study(np.random.default_rng(8), groups=4, images=5)
    a = right[0].copy()
    a[:, :2] = True
    b = a.copy()
    b[:, :2] = False
    (pair,) = stats.with_verdicts([stats.paired_test(a, b, groups=group)])
    assert pair.sentence.endswith("not enough evidence, the repeats agree but 20 test images of 4 groups are too few")
    (alone,) = stats.with_verdicts([stats.paired_test(a[:1], b[:1], groups=group)])
    assert alone.p_mcnemar is None and alone.sentence.endswith("cannot be significant with n = 1")


def test_resampling_takes_whole_groups():
    rng = np.random.default_rng(9)
    group = np.repeat(np.arange(12), 30)
    sure = rng.random(12)[group]
    truth = (rng.random(12) < 0.7).astype(int)[group]  # a group is right or wrong as a whole
    proba = np.repeat(np.stack([1 - sure / 2, sure / 2], 1)[None], 3, 0)
    alone, grouped = (calibration(proba, 1 - truth, groups=g) for g in (None, group))
    for one, other in zip(alone, grouped, strict=True):
        assert one.mean == other.mean
    assert grouped.nll.high - grouped.nll.low > 3 * (alone.nll.high - alone.nll.low)
    low = np.repeat(truth[None] == 1, 3, 0)
    high = low | (group == 3)[None]
    alone, grouped = (gain_of_doubling(low, high, 2.0, groups=g) for g in (None, group))
    assert alone.mean == grouped.mean and grouped.high - grouped.low > 2 * (alone.high - alone.low)
