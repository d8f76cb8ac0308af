"""Statistics against scipy, brute force and simulation."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn.metrics import balanced_accuracy_score

from sparring import stats
from sparring.study.analysis import tie_groups
from sparring.study.precision import images_needed


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Intervals.


@pytest.mark.parametrize(("df", "t"), [(1, 0.5), (5, 2.571), (5.5, -1.0), (200, 4.0), (math.inf, 1.96)])
def test_student_is_scipys(df, t):
    assert stats.t_tail(t, df) == pytest.approx(scipy_stats.t.sf(t, df), rel=1e-12)
    assert stats.t_quantile(df) == pytest.approx(scipy_stats.t.ppf(0.975, df), rel=1e-12)
    assert scipy_stats.norm.ppf(0.975) == pytest.approx(stats.NORMAL_QUANTILE, rel=1e-15)


@pytest.mark.parametrize(("right", "of"), [(0, 1), (0, 20), (16, 20), (20, 20), (353, 360), (1, 10_000)])
def test_wilson_is_scipys(right, of):
    expected = scipy_stats.binomtest(right, of).proportion_ci(method="wilson")
    found = stats.wilson(right, of)
    np.testing.assert_allclose(tuple(found), (right / of, expected.low, expected.high), atol=1e-12)


def test_wilson_of_nothing_is_nothing():
    assert all(math.isnan(v) for v in stats.wilson(0, 0))


def test_a_perfect_score_is_no_more_certain_than_its_images():
    """Six repeats on the same 40 images are 40 images, not 240."""
    found = stats.share_interval(np.ones((6, 40), bool))
    np.testing.assert_allclose(tuple(found), tuple(stats.wilson(40, 40)))


def test_repeats_that_say_the_same_are_one_repeat():
    right = random().random(200) < 0.9
    again, once = stats.share_interval(np.tile(right, (6, 1))), stats.wilson(right.sum(), 200)
    np.testing.assert_allclose(tuple(again), tuple(once), atol=2e-3)


def studies(rng, *, arms=1, repeats=6, images=360, level=2.5, arm=0.0, spread=(1.0, 0.6, 0.4, 0.5, 0.8)):
    """What `arms` methods get right [arms][repeats, images], from a latent skill: images differ in difficulty, methods
    in what they find hard, label draws in how good they are, for all and for each method, and there is chance.

    Every method has the same expected accuracy on new images, but for the first, which is better by `arm`.
    """
    image, image_arm, draw, draw_arm, chance = spread
    hard, lucky = rng.normal(0, image, images), rng.normal(0, draw, repeats)
    for a in range(arms):
        own = rng.normal(0, image_arm, images) + (lucky + rng.normal(0, draw_arm, repeats))[:, None]
        yield level + (arm if a == 0 else 0.0) + hard + own + rng.normal(0, chance, (repeats, images)) > 0


@pytest.mark.parametrize("images", [60, 400])
def test_the_accuracy_interval_covers_new_draws_and_new_images(images):
    """Its coverage is measured; that of a t-interval over repeats alone falls far short where images are few."""
    rng, spread = random(1), (1.0, 0.6, 0.4, 0.5, 0.8)
    truth = scipy_stats.norm.cdf(2.5 / math.hypot(*spread))
    covered, naive = [], []
    for _ in range(1000):
        (right,) = studies(rng, images=images, spread=spread)
        _, low, high = stats.share_interval(right)
        covered.append(low <= truth <= high)
        each = right.mean(1)
        half = stats.t_quantile(len(each) - 1) * scipy_stats.sem(each)
        low, high = each.mean() - half, each.mean() + half
        naive.append(low <= truth <= high)
    assert 0.92 <= np.mean(covered) <= 0.99  # six draws of a skewed share: a little below 95 % where draws dominate
    assert np.mean(naive) < 0.91


def test_balanced_accuracy_and_recalls_are_sklearns():
    rng = random(3)
    truth, said = rng.integers(0, 4, 300), rng.integers(0, 4, (5, 300))
    right = said == truth
    expected = [balanced_accuracy_score(truth, row) for row in said]
    found = stats.balanced_interval(right, truth, 4)
    assert found.mean == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(stats.recalls(right, truth, 4).mean(1), expected)


def test_a_class_without_test_images_has_no_recall_and_does_not_count():
    truth = np.array([0, 0, 2, 2])
    right = np.array([[True, True, False, True]])
    np.testing.assert_array_equal(stats.recalls(right, truth, 3), [[1.0, np.nan, 0.5]])
    assert stats.balanced_interval(right, truth, 3).mean == 0.75


def test_the_balanced_interval_covers_with_a_rare_class():
    """950 and 20 images a class, recalls 0.97 and 0.7: the rare class dominates the interval."""
    rng, covered = random(4), []
    counts, level = (400, 20), (2.0, 0.6)
    truth = np.repeat([0, 1], counts)
    for _ in range(600):
        right = np.concatenate([next(studies(rng, images=n, level=h, spread=(0.8, 0, 0, 0.3, 0.5)))
                                for n, h in zip(counts, level, strict=True)], 1)  # fmt: skip
        expected = np.mean([scipy_stats.norm.cdf(h / math.hypot(0.8, 0.3, 0.5)) for h in level])
        _, low, high = stats.balanced_interval(right, truth, 2)
        covered.append(low <= expected <= high)
    assert 0.94 <= np.mean(covered) <= 0.995


# Tests.


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9])
def test_sign_flip_is_brute_force(n):
    for seed in range(20):
        d = random(seed).normal(0.3, 1, n).round(1)
        sums = [abs(np.dot(signs, d)) for signs in product((-1, 1), repeat=n)]
        expected = np.mean(np.array(sums) >= abs(d.sum()) - 1e-9) if d.any() else 1.0
        assert stats.sign_flip_p(d) == pytest.approx(expected)


def test_sign_flip_is_scipys():
    d = random(5).normal(0.5, 1, 8)
    expected = scipy_stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert stats.sign_flip_p(d) == pytest.approx(expected)


def test_sign_flip_with_many_repeats_is_close_to_the_t_test_and_repeats_itself():
    d = random(6).normal(0.3, 1, 60)
    assert stats.sign_flip_p(d) == stats.sign_flip_p(d)
    assert stats.sign_flip_p(d) == pytest.approx(scipy_stats.ttest_1samp(d, 0).pvalue, abs=0.01)


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (3, 0.25), (5, 0.0625), (6, 0.03125), (8, 0.0078125)])
def test_the_smallest_p_is_reached_when_all_agree(n, p):
    assert stats.smallest_p(n) == p
    assert stats.sign_flip_p(np.linspace(1, 2, n)) == p


def test_no_difference_has_p_one():
    assert stats.sign_flip_p(np.zeros(6)) == 1.0


def guesses(images: int, classes: int, repeats: int, right: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return answers [R,T] that know a share of the true classes [T], the first class being most of them."""
    rng = random(seed)
    shares = np.r_[0.7, np.full(classes - 1, 0.3 / (classes - 1))]
    truth = rng.choice(classes, images, p=shares)
    said = rng.choice(classes, (repeats, images), p=shares)
    return np.where(rng.random(said.shape) < right, truth, said), truth


@pytest.mark.parametrize("balanced", [False, True])
def test_the_test_against_guessing_is_scipys(balanced):
    said, truth = guesses(40, 3, 2, 0.1, seed=1)
    weights = stats.class_weights(truth) if balanced else np.ones(40)
    worth = {k: weights[truth == k][0] for k in truth}

    def mean(order: np.ndarray) -> float:
        return float(((said == order) * np.array([worth[k] for k in order])).mean())

    expected = scipy_stats.permutation_test(
        (truth,), mean, permutation_type="pairings", alternative="greater", n_resamples=4000, rng=0
    )
    assert stats.guess_p(said, truth, weights=weights) == pytest.approx(expected.pvalue, abs=0.02)
    assert 0.01 < expected.pvalue < 0.4


def test_beyond_some_images_the_normal_distribution_stands_for_the_orders(monkeypatch):
    said, truth = guesses(600, 4, 3, 0.02, seed=3)
    weights = stats.class_weights(truth)
    drawn = stats.guess_p(said, truth, weights=weights)
    monkeypatch.setattr(stats, "ORDERS", 599)
    assert stats.guess_p(said, truth, weights=weights) == pytest.approx(drawn, abs=0.02)
    assert 0.01 < drawn < 0.4


def test_guesses_are_told_from_answers_with_a_single_image_of_a_class():
    ps = [stats.guess_p(*guesses(60, 6, 6, 0.0, seed), weights=None) for seed in range(300)]
    assert np.mean(np.array(ps) <= 0.05) <= 0.08  # 5 % and three standard errors
    truth = np.r_[np.zeros(44, int), 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 5, 5, 5, 5]
    said = np.tile(np.where(np.arange(60) % 3 > 0, truth, 0), (6, 1))
    assert stats.guess_p(said, truth, weights=stats.class_weights(truth)) <= 0.001
    assert stats.guess_p(np.zeros_like(said), truth) == 1.0  # who always says the same


def test_holm_by_hand():
    """Holm 1979: the smallest p times 4, the next times 3, ..., never decreasing."""
    np.testing.assert_allclose(stats.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.5, 0.9]) == [1.0, 1.0]
    assert stats.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_its_definition(ps):
    """Step down: the k-th smallest is called as long as it and all smaller ones are <= alpha / (m - k)."""
    adjusted = stats.holm(ps)
    for alpha in (0.01, 0.05, 0.3):
        called, order = set(), sorted(range(len(ps)), key=lambda i: ps[i])
        for k, i in enumerate(order):
            if ps[i] > alpha / (len(ps) - k):
                break
            called.add(i)
        edge = any(math.isclose(a, alpha, rel_tol=1e-9) for a in adjusted)
        assert edge or called == {i for i, a in enumerate(adjusted) if a <= alpha}


@pytest.mark.parametrize(
    "counts", [(3, 20, 15, 20), (135, 150, 120, 120), (0, 9, 4, 30), (9, 9, 30, 30), (40, 50, 30, 50)]
)
def test_fishers_p_is_scipys(counts):
    a, n, b, m = counts
    right = np.arange(n) < a, np.arange(m) < b
    expected = scipy_stats.fisher_exact([[a, n - a], [b, m - b]], alternative="less").pvalue
    assert stats.fisher_p(*right) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (5, 5), (9, 1), (30, 11), (0, 6)])
def test_mcnemar_is_the_binomial_test(only_a, only_b):
    a = np.array([1] * only_a + [0] * only_b + [1] * 50 + [0] * 7, bool)
    b = np.array([0] * only_a + [1] * only_b + [1] * 50 + [0] * 7, bool)
    n = only_a + only_b
    assert stats.mcnemar_p(a, b) == pytest.approx(scipy_stats.binomtest(only_a, n).pvalue if n else 1.0)


def test_tost_is_two_one_sided_t_tests():
    d = random(7).normal(0.001, 0.002, 10)
    error = scipy_stats.sem(d)
    expected = max(
        scipy_stats.ttest_1samp(d, 0.005, alternative="less").pvalue,
        scipy_stats.ttest_1samp(d, -0.005, alternative="greater").pvalue,
    )
    assert stats.tost_p(d.mean(), error, 9) == pytest.approx(expected)
    assert stats.tost_p(0.0, 0.0, 9) == 0.0
    assert stats.tost_p(0.006, 0.0, 9) == 1.0


def test_the_variance_of_a_difference_is_that_of_draws_and_images():
    """Against a simulation of the same two methods on many draws and test parts."""
    rng, means, told = random(8), [], []
    for _ in range(1500):
        a, b = studies(rng, arms=2, images=150)
        d = np.asarray(a, float) - b
        means.append(d.mean())
        told.append(stats.spread_of(d).variance().variance)
    assert 0.95 * np.var(means) < np.mean(told) < 1.2 * np.var(means)
    assert stats.paired_test(a, b).difference.mean == pytest.approx(means[-1])


def test_with_one_repeat_a_difference_is_about_its_images():
    """Then V is that of McNemar's difference of shares, with one more discordant image on each side."""
    rng = random(9)
    a, b = rng.random((1, 300)) < 0.9, rng.random((1, 300)) < 0.85
    d = np.concatenate([(a.astype(float) - b)[0], [1, -1]])
    pair = stats.paired_test(a, b)
    half = stats.t_quantile(299) * d.std(ddof=1) / math.sqrt(302)
    mean, low, high = pair.difference
    np.testing.assert_allclose((low, high), (mean - half, mean + half))
    assert pair.p_mcnemar == stats.mcnemar_p(a[0], b[0])


# Verdicts.


def better_by(points: float, *, repeats: int = 6, images: int = 2000, wobble: float = 0.002, seed: int = 0):
    """Two methods whose accuracies differ by `points` on average."""
    rng = random(seed)
    hard = rng.random(images)
    a = np.stack([hard < 0.9 + rng.normal(0, wobble) for _ in range(repeats)])
    b = np.stack([hard < 0.9 - points / 100 + rng.normal(0, wobble) for _ in range(repeats)])
    return a, b


def test_a_clear_difference_is_better_and_from_the_other_side_worse():
    a, b = better_by(3)
    one, other = stats.with_verdicts([stats.paired_test(a, b), stats.paired_test(b, a)])
    assert (one.verdict, other.verdict) == ("better", "worse")
    assert one.p_holm == pytest.approx(2 * one.p)
    assert "better, p < 0.001 after Holm" in one.sentence


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_fewer_than_six_repeats_are_never_enough(n):
    """Rule 5: not even when every repeat says 30 points."""
    (pair,) = stats.with_verdicts([stats.paired_test(*better_by(30, repeats=n))])
    assert pair.verdict == "not enough evidence"
    assert f"cannot be significant with n = {n}" in pair.sentence
    if n == 1:
        assert "McNemar" in pair.sentence
    same = better_by(0, repeats=n, images=20_000, wobble=0)
    assert stats.with_verdicts([stats.paired_test(*same)])[0].verdict == "not enough evidence"


def test_six_repeats_are_enough():
    assert stats.with_verdicts([stats.paired_test(*better_by(30, repeats=6))])[0].verdict == "better"


def test_equal_predictions_are_a_tie_only_on_enough_images():
    right = random().random((6, 4000)) < 0.95
    (pair,) = stats.with_verdicts([stats.paired_test(right, right)])
    assert pair.verdict == "tie"
    assert "a tie, within 0.50 points either way" in pair.sentence
    few = right[:, :360]
    assert stats.with_verdicts([stats.paired_test(few, few)])[0].verdict == "not enough evidence"


def test_a_real_difference_that_does_not_matter_is_a_tie():
    a, b = better_by(0.2, images=60_000, wobble=0)
    (pair,) = stats.with_verdicts([stats.paired_test(a, b)])
    assert pair.p_holm < 0.05
    assert pair.verdict == "tie"
    assert "real but too small to matter" in pair.sentence


def test_repeats_that_agree_on_too_few_images_are_not_enough():
    """2 of 100 images more in each of 6 repeats: p = 0.03 over repeats, yet no evidence about new images."""
    b = np.tile(random().random(100) < 0.9, (6, 1))
    a = b.copy()
    a[:, np.flatnonzero(~b[0])[:2]] = True
    (pair,) = stats.with_verdicts([stats.paired_test(a, b)])
    assert pair.p_sign_flip == stats.smallest_p(6)
    assert pair.verdict == "not enough evidence"
    assert "100 test images are too few" in pair.sentence


def test_repeats_must_agree():
    """Rule 6: a t-test alone does not make a verdict; one draw against five that say the opposite."""
    a, b = better_by(3, wobble=0)
    (fine,) = stats.with_verdicts([stats.paired_test(a, b)])
    assert fine.verdict == "better"
    a[0], b[0] = b[0].copy(), a[0].copy()
    (pair,) = stats.with_verdicts([stats.paired_test(a, b)])
    assert pair.verdict == "not enough evidence"


def test_many_comparisons_need_more_evidence():
    """Rule 6, Holm: what is significant alone is not among fifty."""
    alone = next(pair for a, b in (better_by(2, images=1000, wobble=0.012, seed=s) for s in range(100))
                 if (pair := stats.with_verdicts([stats.paired_test(a, b)])[0]).verdict == "better"
                 and pair.p > 0.002)  # fmt: skip
    null = [stats.paired_test(*better_by(0, images=1000, wobble=0.012, seed=1000 + i)) for i in range(49)]
    among = stats.with_verdicts([alone, *null])[0]
    assert among.verdict == "not enough evidence"
    assert "among all comparisons" in among.sentence


def simulated(count: int, seed: int, **settings):
    """For each simulated study: the verdicts of all pairs, and whether a t-test over repeats alone called any."""
    rng = random(seed)
    for _ in range(count):
        family = [stats.paired_test(a, b) for a, b in combinations(studies(rng, **settings), 2)]
        each = np.array([pair.difference.each for pair in family])
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(each.mean(1)) / scipy_stats.sem(each, axis=1)
        yield stats.with_verdicts(family), min(stats.holm((2 * scipy_stats.t.sf(np.nan_to_num(t), 5)).tolist())) <= 0.05


@pytest.mark.parametrize(
    ("settings", "repeats_alone"),
    [
        ({"arms": 4, "images": 200, "level": 1.5}, 0.0),
        ({"arms": 5, "images": 100, "level": 1.5, "spread": (2.0, 1.0, 0.4, 0.3, 0.7)}, 0.05),
        ({"arms": 4, "images": 360, "level": 4.5, "spread": (2.0, 1.0, 0.4, 0.3, 0.7)}, 0.05),
    ],
    ids=["draws matter", "few images", "few errors"],
)
def test_without_a_difference_better_comes_out_in_at_most_5_percent_of_studies(settings, repeats_alone):
    """1,000 whole studies of several equal methods. A test over repeats alone exceeds 5 %, so this can fail."""
    found = list(simulated(1000, 12, **settings))
    wrong = np.mean([any(pair.verdict in ("better", "worse") for pair in pairs) for pairs, _ in found])
    assert wrong <= 0.05
    assert np.mean([naive for _, naive in found]) > repeats_alone


def test_where_label_draws_matter_much_satterthwaite_alone_would_say_better_too_often():
    """Eight equal methods, 400 studies: his formula, unmoderated, is far above 5 %."""
    rng, wrong, naive = random(21), [], []
    for _ in range(400):
        family = [stats.paired_test(a, b) for a, b in combinations(
            studies(rng, arms=8, level=1.0, spread=(1.0, 0.5, 0.25, 0.25, 0.5)), 2)]  # fmt: skip
        wrong.append(any(pair.verdict == "better" for pair in stats.with_verdicts(family)))
        plain = []
        for pair in family:
            _, df = stats.summed((pair.spread.of_repeats, 6), (pair.spread.of_images, 360))
            error = math.sqrt(pair.spread.of_repeats + pair.spread.of_images)
            plain.append(2 * scipy_stats.t.sf(abs(pair.difference.mean) / error, df))
        naive.append(min(stats.holm(plain)) <= 0.05)
    assert np.mean(wrong) <= 0.05
    assert np.mean(naive) > 0.07


def test_the_variance_between_repeats_is_drawn_to_that_of_all_comparisons():
    """Of three methods one variance of two is of others: half the weight of the own one."""
    rng = random(5)
    family = [stats.paired_test(a, b) for a, b in combinations(studies(rng, arms=3), 2)]
    own = [np.var(pair.difference.each, ddof=1) / 6 for pair in family]
    np.testing.assert_allclose([pair.spread.of_repeats for pair in family], own)
    for pair, found in zip(family, stats.moderated(family), strict=True):
        first = (5 * pair.spread.of_repeats + 2.5 * np.mean(own)) / 7.5
        rest = pair.spread.of_images - pair.spread.of_both
        variance = max(first + rest, first, pair.spread.of_images)
        noise = (2 * first) ** 2 / 7.5 + pair.spread.of_images**2 / 359
        df = (2 * first + pair.spread.of_images) ** 2 / noise
        expected = scipy_stats.t.interval(0.95, df, pair.difference.mean, math.sqrt(variance))
        np.testing.assert_allclose((found.difference.low, found.difference.high), expected)
        assert found.p == pytest.approx(2 * scipy_stats.t.sf(abs(pair.difference.mean) / math.sqrt(variance), df))
    (alone,) = stats.moderated(family[:1])
    assert alone == family[0]


def test_the_terms_of_the_variance_are_those_of_an_analysis_of_variance():
    values = random(3).normal(size=(4, 7))
    spread = stats.spread_of(values)
    rows, columns = values.mean(1), values.mean(0)
    rest = values - rows[:, None] - columns[None] + values.mean()
    assert spread.of_repeats == pytest.approx(rows.var(ddof=1) / 4)
    assert spread.of_images == pytest.approx(columns.var(ddof=1) / 7)
    assert spread.of_both == pytest.approx((rest**2).sum() / (3 * 6) / 28)


def test_a_real_difference_of_three_points_is_found():
    """Power: four methods, one better by about 3 points, 6 repeats, 2,000 test images, draws that differ by 1 point."""
    spread = (1.0, 0.3, 0.1, 0.05, 0.3)
    better, never = 0, 0
    for pairs, _ in simulated(150, 13, arms=4, images=2000, level=1.5, arm=0.28, spread=spread):
        better += sum(pair.verdict == "better" for pair in pairs[:3])
        never += sum(pair.verdict == "worse" for pair in pairs[:3])
    assert 0.025 < np.mean([pair.difference.mean for pair in pairs[:3]]) < 0.045
    assert better / 450 > 0.8
    assert never == 0


def test_tie_groups_follow_the_best():
    accuracy = {"a": 0.5, "b": 0.97, "c": 0.96, "d": 0.90, "e": 0.88}
    beats = {("b", "d"), ("b", "a"), ("d", "a"), ("b", "e")}
    assert tie_groups(list(accuracy), accuracy, lambda x, y: (x, y) in beats) == [["b", "c"], ["d", "e"], ["a"]]
    assert tie_groups([], {}, lambda x, y: False) == []


def test_images_needed_are_the_fewest():
    for share in (0.5, 0.8, 0.97):
        n = images_needed(share)
        half = [(i.high - i.low) / 2 for i in (stats.wilson(share * m, m) for m in (n - 1, n))]
        assert half[1] <= 0.05 < half[0]
    assert 340 < images_needed(0.5) < 400


@pytest.mark.parametrize(("share", "text"), [(0.0123, "1.2"), (0.0041, "0.41"), (-0.00001, "0.00"), (-0.2, "-20.0")])
def test_points(share, text):
    assert stats.points(share) == text


def test_a_handful_of_images_of_a_class_is_not_certain():
    """3 of 3 and 97 of 97 right: a balanced accuracy of 100 % that may well be 80 %."""
    truth = np.array([0] * 97 + [1] * 3)
    found = stats.balanced_interval(np.ones((6, 100), bool), truth, 2)
    assert found.mean == 1.0
    assert found.low < 0.85


def test_errors_that_wander_do_not_make_more_images():
    """Where every repeat errs elsewhere the images' means hardly vary; the interval is still that of T images."""
    right = random().random((6, 100)) < 0.8
    _, low, high = stats.share_interval(right)
    expected = stats.wilson(100 * right.mean(), 100)
    assert high - low >= expected.high - expected.low - 1e-12
