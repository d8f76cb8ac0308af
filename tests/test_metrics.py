"""Metrics against loops, closed forms and scipy."""

import importlib
import tracemalloc
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import chi2_contingency

from sparring import metrics
from sparring.errors import DataError, UsageError
from sparring.metrics import Estimate, nearest
from sparring.metrics import features as arrays


def samples(n=40, m=30, width=6, shift=0.5, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (n, width)), random.normal(shift, 1.3, (m, width))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch, request):
    """Chunks that end in the middle, but for tests that measure memory or repeat much."""
    if not any(name in request.node.name for name in ("memory", "error_is_right", "keeps_its_level")):
        monkeypatch.setattr(arrays.row_chunks, "__defaults__", (7,))
        monkeypatch.setattr(nearest, "TILE", 32)


# Estimates.


def test_an_estimate_of_a_mean_has_the_mean_s_error():
    x = np.random.default_rng(0).normal(3, 2, 50)
    mean = Estimate(x.mean(), fake=x - x.mean())
    error = x.std(ddof=1) / 50**0.5
    assert mean.error == pytest.approx(error, rel=1e-12)
    assert mean.interval == pytest.approx((x.mean() - 1.959964 * error, x.mean() + 1.959964 * error), rel=1e-6)
    assert "50 fake" in repr(mean)
    assert np.isnan(Estimate(1.0, real=x[:1]).error)
    assert Estimate(1.0).error == 0


def test_a_difference_of_two_generators_forgets_what_real_images_do_to_both():
    random = np.random.default_rng(0)
    real, a, b = random.normal(0, 5, 40), random.normal(1, 1, 30), random.normal(0, 2, 90)
    scores = [Estimate(x.mean() - real.mean(), real.mean() - real, x - x.mean()) for x in (a, b)]
    found = metrics.difference(*scores)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert found.error == pytest.approx((a.var() / 30 + b.var() / 90) ** 0.5, rel=0.03)
    with pytest.raises(UsageError, match="against 40 and 39 real images"):
        metrics.difference(scores[0], Estimate(0.0, real=real[:39]))


# Kernel distance.


def flat_kernel_distance(x, y):
    def k(a, b):
        return (np.dot(a, b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    inside = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    inside += sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return inside - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kernel_distance_and_its_error_are_those_of_loops():
    x, y = samples(12, 9, 4)
    found = metrics.kernel_distance(x, y)
    assert found.value == pytest.approx(flat_kernel_distance(x, y), rel=1e-12)
    less_x = [flat_kernel_distance(np.delete(x, i, 0), y) for i in range(len(x))]
    less_y = [flat_kernel_distance(x, np.delete(y, i, 0)) for i in range(len(y))]
    variance = sum((len(v) - 1) / len(v) * sum((np.array(v) - np.mean(v)) ** 2) for v in (less_x, less_y))
    np.testing.assert_allclose(found.real.mean(), 0, atol=1e-12)
    assert found.error == pytest.approx((variance - variance_of_pairs(x, y)) ** 0.5, rel=1e-9)


def variance_of_pairs(x, y):
    """What the jackknife counts twice, from kernel matrices less their row and column means."""
    total = 0.0
    for a, b in ((x, x), (y, y), (x, y)):
        k, keep = (a @ b.T / 4 + 1) ** 3, np.ones((len(a), len(b)), bool)
        if a is b:
            np.fill_diagonal(keep, False)
        k *= keep
        row, column = k.sum(1) / keep.sum(1), k.sum(0) / keep.sum(0)
        rest = (k - row[:, None] - column + k.sum() / keep.sum())[keep]
        expected = (k[keep] ** 2).mean() - (row**2).mean() - (column**2).mean() + (k.sum() / keep.sum()) ** 2
        assert (rest**2).mean() == pytest.approx(expected, rel=0.5)  # the same but for the missing diagonal
        total += (2 if a is b else 4) * expected / keep.sum()
    return total


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.85, 1.2), (0.5, 0.85, 1.2)])
def test_kernel_distance_is_unbiased_and_its_error_is_right(shift, least, most):
    """At F = 1, x ~ N(0,1), y ~ N(s,1): (x y + 1)^3 is a sum over j of binom(3, j) x^j y^j, so the distance is that of
    the first moments."""
    random = np.random.default_rng(1)
    found = [
        metrics.kernel_distance(random.normal(0, 1, (60, 1)), random.normal(shift, 1, (60, 1))) for _ in range(400)
    ]
    distances, errors = np.array([(x.value, x.error) for x in found]).T
    s = shift
    powers = np.array([1, 3, 3, 1])
    mx, my = np.array([1, 0, 1, 0]), np.array([1, s, 1 + s**2, s**3 + 3 * s])
    truth = (powers * (mx - my) ** 2).sum()
    assert abs(distances.mean() - truth) < 3.5 * distances.std() / 20
    assert least < np.sqrt((errors**2).mean()) / distances.std() < most


def test_kernel_test_is_that_of_every_division():
    x, y = samples(8, 5, 3)
    everybody, random = np.concatenate([x, y]), np.random.default_rng(3)
    orders = [random.permutation(13) for _ in range(40)]
    values = [flat_kernel_distance(everybody[np.sort(o[:8])], everybody[np.sort(o[8:])]) for o in orders]
    expected = (1 + sum(v >= flat_kernel_distance(x, y) for v in values)) / 41
    assert metrics.kernel_test(x, y, permutations=40, seed=3) == pytest.approx(expected)
    assert 1 / 41 < expected < 1


def test_kernel_test_keeps_its_level_and_sees_a_shift():
    random = np.random.default_rng(0)
    same = [metrics.kernel_test(*random.normal(size=(2, 20, 2)), permutations=39, seed=i) for i in range(200)]
    assert 2 <= sum(p <= 0.05 for p in same) <= 20
    assert metrics.kernel_test(*samples(), permutations=99) == 0.01


# Frechet distance.


def test_frechet_distance_is_that_of_a_matrix_square_root():
    x, y = samples()
    a, b = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert metrics.frechet_distance(x, y).value == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_gaussians_in_closed_form():
    """Diagonal covariances: |m - m'|^2 + sum (s - s')^2."""
    mean, s = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 0.0], [3.0, 2.0, 0.5]])
    a, b = (metrics.Moments(10, mean[i], np.diag(s[i] ** 2)) for i in (0, 1))
    assert metrics.frechet_distance(a, b).value == pytest.approx(1 + 4 + 4 + 0.25)


def test_frechet_distance_with_fewer_images_than_features():
    x, y = samples(5, 4, 30)
    assert metrics.frechet_distance(x, x).value == pytest.approx(0, abs=1e-6)
    a, b = x - x.mean(0), y - y.mean(0)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum() / np.sqrt(4 * 3)  # tr sqrt(C C'), another way
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() / 4 + (b**2).sum() / 3 - 2 * shared
    assert metrics.frechet_distance(x, y).value == pytest.approx(expected, rel=1e-6)


def test_what_does_not_vary_has_scores():
    x, y = np.zeros((30, 4)), samples(30, 20, 4)[1]
    found = metrics.frechet_distance(x, y)
    assert found.value == pytest.approx(np.square(y.mean(0)).sum() + y.var(0, ddof=1).sum())
    assert np.isfinite(found.error)
    assert metrics.frechet_distance(x, x[:9]).value == 0
    assert [s.value for s in metrics.neighbours(x, x + 1)] == [0, 0, 0, 0]
    assert [s.value for s in metrics.neighbours(x, x, k=2)] == [1, 1, 15, 1]
    assert [s.value for s in metrics.neighbours(y * 1e-160, y * 1e-160)] == [s.value for s in metrics.neighbours(y, y)]
    assert metrics.kernel_distance(x, x).value == 0
    assert metrics.kernel_test(x, x) == 1
    assert np.isnan(metrics.diversity(x, y).value)


def test_moments_add_up():
    x, y = samples()
    both, sums = metrics.Moments.of(np.concatenate([x, y])), metrics.Moments.of(x) + metrics.Moments.of(y)
    assert sums.count == both.count
    np.testing.assert_allclose(sums.mean, both.mean, atol=1e-12)
    np.testing.assert_allclose(sums.covariance, np.cov(np.concatenate([x, y]).T), rtol=1e-10)


@pytest.mark.parametrize("case", ["many", "few real", "few fakes", "few", "dead and repeated"])
def test_frechet_influences_are_derivatives(case):
    n, m, width = {"few real": (7, 30, 12), "few fakes": (30, 7, 12), "few": (7, 9, 30)}.get(case, (40, 30, 6))
    x, y = samples(n, m, width)
    if case.startswith("dead"):
        x[:, 1] = y[:, 1] = 0.5
        x[:, 2] = x[:, 3]
        y[:, 2] = y[:, 3]
    found, step = metrics.frechet_distance(x, y), 3e-3
    for i in (0, 3, 6):
        up, down = (metrics.frechet_distance(weighted(x, i, s * step), metrics.Moments.of(y)) for s in (1, -1))
        assert found.real[i] == pytest.approx(n * (up.value - down.value) / (2 * step), rel=2e-3, abs=2e-3)
        up, down = (metrics.frechet_distance(metrics.Moments.of(x), weighted(y, i, s * step)) for s in (1, -1))
        assert found.fake[i] == pytest.approx(m * (up.value - down.value) / (2 * step), rel=2e-3, abs=2e-3)
    assert np.isnan(metrics.frechet_distance(x, y, influences=False).error)
    assert metrics.frechet_distance(x, y, influences=False).value == pytest.approx(found.value, rel=1e-7)


def weighted(x, i, more):
    """Moments where image i counts 1 + more."""
    weights = np.ones(len(x))
    weights[i] += more
    weights /= weights.sum()
    apart = x - weights @ x
    return metrics.Moments(len(x), weights @ x, (apart.T * weights) @ apart * len(x) / (len(x) - 1))


def test_frechet_distance_at_infinity_is_the_end_of_a_line_through_all_parts():
    x, y = samples(50, 41, 4)
    found, random = metrics.frechet_at_infinity(x, y, parts=3, seed=5), np.random.default_rng(5)
    a, b = x[random.permutation(50)], y[random.permutation(41)]
    means = []
    for count in (1, 2, 3):
        pieces = zip(np.array_split(a, count), np.array_split(b, count), strict=True)
        means.append(np.mean([metrics.frechet_distance(*piece).value for piece in pieces]))
    slope = (means[2] - means[0]) / 2
    assert found.value == pytest.approx(np.mean(means) - 2 * slope)
    np.testing.assert_array_equal(found.fake, metrics.frechet_distance(x, y).fake)


def test_frechet_distance_at_infinity_has_less_bias():
    """N(0, 1) in 8 dimensions against N(0.3, 1): 8 * 0.09."""
    random = np.random.default_rng(0)
    sets = [(random.normal(0, 1, (200, 8)), random.normal(0.3, 1, (160, 8))) for _ in range(60)]
    plain = np.mean([metrics.frechet_distance(*s).value for s in sets])
    found = [metrics.frechet_at_infinity(*s) for s in sets]
    assert abs(np.mean([f.value for f in found]) - 0.72) < 0.2 * abs(plain - 0.72)
    assert found[0].error > 0
    with pytest.raises(UsageError, match="4 parts of 30 images are too few for 6 features.*pass 48 images"):
        metrics.frechet_at_infinity(*samples())


# Neighbours.


def flat_neighbours(x, y, k):
    def reach(points, i):
        return sorted(np.linalg.norm(points[i] - p) for j, p in enumerate(points) if j != i)[k - 1]

    rx, ry = [reach(x, i) for i in range(len(x))], [reach(y, j) for j in range(len(y))]
    apart = [[np.linalg.norm(a - b) for b in y] for a in x]
    n, m = range(len(x)), range(len(y))
    precision = np.mean([any(apart[i][j] <= rx[i] for i in n) for j in m])
    recall = np.mean([any(apart[i][j] <= ry[j] for j in m) for i in n])
    density = sum(apart[i][j] <= rx[i] for i in n for j in m) / (k * len(y))
    coverage = np.mean([min(apart[i]) <= rx[i] for i in n])
    return precision, recall, density, coverage


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbours_are_those_of_loops(k):
    x, y = samples(width=2, shift=1.5)
    np.testing.assert_allclose([s.value for s in metrics.neighbours(x, y, k=k)], flat_neighbours(x, y, k), rtol=1e-12)


@pytest.mark.parametrize("case", ["far from 0", "whole numbers", "copies", "nearly copies", "huge and tiny"])
def test_neighbours_count_as_float64_does(case):
    random = np.random.default_rng(1)
    x, y = random.normal(size=(90, 5)), random.normal(size=(75, 5))
    if case == "far from 0":
        x, y = x + 1e4, y + 1e4
    if case == "whole numbers":  # many pairs lie on rims
        x, y = np.rint(2 * x[:, :2]), np.rint(2 * y[:, :2])
    if case == "copies":
        x[10:60], y[5:40] = x[3], x[3]
    if case == "nearly copies":
        x[10:60], y[5:40] = x[3] + 1e-9 * x[10:60], x[3] + 1e-9 * y[5:40]
    if case == "huge and tiny":
        x, y = x * np.geomspace(1e-12, 1e12, 90)[:, None], y * np.geomspace(1e-12, 1e12, 75)[:, None]
    for k in (1, 4):
        np.testing.assert_array_equal([s.value for s in metrics.neighbours(x, y, k=k)], flat_neighbours(x, y, k))


def test_neighbour_influences_are_those_of_leaving_out(monkeypatch):
    balls = importlib.import_module("sparring.metrics.neighbours")
    monkeypatch.setattr(balls, "of_counts", lambda changes, changed: changes - changes.mean())
    x, y = samples(41, 33, 3, shift=0.8)
    found = metrics.neighbours(x, y, k=3)
    for side, name in ((0, "real"), (1, "fake")):
        n = len((x, y)[side])
        parts = ([np.delete(s, i, 0) if j == side else s for j, s in enumerate((x, y))] for i in range(n))
        less = [metrics.neighbours(*part, k=3) for part in parts]
        for score in ("precision", "recall", "density", "coverage"):
            value = getattr(found, score).value
            jackknife = np.array([(n - 1) * (value - getattr(one, score).value) for one in less])
            apart = np.abs(getattr(getattr(found, score), name) - (jackknife - jackknife.mean()))
            several = (score, name) in (("precision", "real"), ("recall", "fake"))  # may count one ball of two
            assert (np.median(apart) if several else apart.max()) < (0.1 if several else 1e-9), (score, name)


def test_nearest_are_those_of_all_distances():
    x, y = samples(100, 70, 4)
    x[20:30] = x[5]
    p, q = (nearest.Points(s, *nearest.Points.frame(x, y)) for s in (x, y))
    for found, apart in (
        (nearest.nearest_points(q, p, k=6), cdist(y, x)),
        (nearest.nearest_others(p, k=6), cdist(x, x)),
    ):
        if len(apart) == len(x):
            np.fill_diagonal(apart, np.inf)
        np.testing.assert_allclose(np.sqrt(found.squared) / p.scale, np.sort(apart, 1)[:, :6], rtol=1e-12)
        at = np.take_along_axis(apart, found.index, 1)
        np.testing.assert_allclose(at, np.sort(apart, 1)[:, :6], rtol=1e-12)


def test_neighbours_of_what_is_far_and_of_one_place():
    x, _ = samples()
    assert [s.value for s in metrics.neighbours(x, x + 100)] == [0, 0, 0, 0]
    collapsed = metrics.neighbours(x, np.repeat(x[:1], 20, 0))
    assert collapsed.precision.value == 1
    assert collapsed.recall.value == 1 / len(x)
    assert metrics.neighbours(x, x.copy()).coverage.value == 1
    with pytest.raises(UsageError, match="no neighbour number 40 among 30"):
        metrics.neighbours(*samples(), k=40)


# Diversity.


def test_diversity_is_that_of_loops():
    x, y = samples()

    def mean(points):
        return np.mean([np.linalg.norm(a - b) for i, a in enumerate(points) for j, b in enumerate(points) if i != j])

    assert metrics.mean_distance(x).value == pytest.approx(mean(x))
    assert metrics.diversity(x, y).value == pytest.approx(mean(y) / mean(x))
    assert metrics.diversity(x, np.repeat(y[:1], 9, 0)).value == 0


# Inception score.


def test_inception_score_in_closed_form_and_its_influences():
    assert metrics.inception_score(np.eye(7)[np.arange(70) % 7]).value == pytest.approx(7)
    assert metrics.inception_score(np.full((5, 4), 0.25)).value == pytest.approx(1)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    found, step = metrics.inception_score(p), 1e-5

    def at(more):  # image 3 counts 1 + more
        w = np.ones(30)
        w[3] += more
        w /= w.sum()
        return np.exp(w @ (p * np.log(p / (w @ p))).sum(1))

    assert found.value == pytest.approx(at(0), rel=1e-12)
    assert found.fake[3] == pytest.approx(30 * (at(step) - at(-step)) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.eye(2)[0], np.array([[1.5, -0.5]] * 3), np.full((3, 2), np.nan)])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(DataError, match="does not hold probabilities"):
        metrics.inception_score(bad)


# Spectrum.


def test_spectrum_of_waves_and_of_noise():
    place = np.arange(16)
    wave = np.rint(127 + 60 * np.cos(2 * np.pi * 3 / 16 * place)).astype(np.uint8)  # 3 periods: ring 2 of 8
    found = metrics.spectrum(np.broadcast_to(wave[:, None, None], (2, 16, 16, 1)))
    assert found.shape == (2, 8)
    assert (found.argmax(1) == 2).all()
    radius = np.hypot(*np.meshgrid(*[np.minimum(place, 16 - place)] * 2))
    count = ((radius >= 2.5) & (radius < 3.5)).sum()
    assert found[0, 2] == pytest.approx(10 * np.log10(2 * (60 / 2 * 16) ** 2 / count + 1 / 12), abs=0.1)
    noise = np.random.default_rng(0).normal(127, 20, (400, 16, 16, 3))
    power = metrics.spectrum(np.rint(noise).astype(np.uint8)).mean(0)
    np.testing.assert_allclose(power, 10 * np.log10(400), atol=0.5)
    np.testing.assert_allclose(metrics.spectrum(np.full((1, 8, 9, 1), 7, np.uint8)), 10 * np.log10(1 / 12))


def test_spectrum_distance_is_that_of_loops_and_sees_blur():
    random = np.random.default_rng(0)
    fake = random.integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)
    a, b = metrics.spectrum(random.integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)), metrics.spectrum(fake)
    expected = np.square(a.mean(0) - b.mean(0)).mean() - (a.var(0, ddof=1) / 30 + b.var(0, ddof=1) / 30).mean()
    assert metrics.spectrum_distance(a, b).value == pytest.approx(expected, rel=1e-9)
    low, high = metrics.spectrum_distance(a, b).interval
    assert low < 0 < high
    blurred = ((fake.astype(int) + np.roll(fake, 1, 1)) // 2).astype(np.uint8)
    assert metrics.spectrum_distance(a, metrics.spectrum(blurred)).interval[0] > 1
    for score in (metrics.spectrum_distance, metrics.spectrum_test):
        with pytest.raises(DataError, match="real features are 4 wide, fake ones 3"):
            score(a, metrics.spectrum(fake[:, :7]))
    with pytest.raises(DataError, match="no spectrum of float64"):
        metrics.spectrum(fake / 255)


def test_the_test_of_spectra_fires_for_noise_and_not_for_more_of_the_same():
    random = np.random.default_rng(0)

    def noise(count, spread):
        return metrics.spectrum(np.clip(random.normal(128, spread, (count, 8, 8, 1)), 0, 255).astype(np.uint8))

    assert metrics.spectrum_test(noise(80, 30), noise(60, 36)) < 0.01
    ps = np.array([metrics.spectrum_test(noise(40, 30), noise(60, 30), divisions=99) for _ in range(60)])
    assert (ps <= 0.1).mean() < 0.25
    assert ps.mean() == pytest.approx(0.5, abs=0.15)


def test_the_kernel_test_is_not_fooled_by_rounding():
    alike = np.ones((100, 64))
    other = alike.copy()
    other[0] = np.random.default_rng(0).normal(size=64)
    assert metrics.kernel_test(alike, other) > 0.4
    assert metrics.kernel_test(other, alike) > 0.4


# The balance of classes.


def drawn_classes(counts):
    return np.repeat(np.arange(len(counts)), counts)


def test_balance_is_total_variation_with_the_error_of_a_bootstrap():
    real, fake = drawn_classes([60, 30, 10]), drawn_classes([40, 20, 20])
    found = metrics.balance(real, fake, 3)
    assert found.value == pytest.approx(0.15)
    random = np.random.default_rng(0)
    drawn = [metrics.balance(random.choice(real, 100), random.choice(fake, 80), 3).value for _ in range(2000)]
    assert found.error == pytest.approx(np.std(drawn), rel=0.15)
    assert metrics.balance(real, drawn_classes([6, 3, 1]), 3).value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("counts", [[[30, 25, 20], [20, 30, 27]], [[60, 50, 44], [20, 30, 10]]])
def test_the_test_of_balance_is_pearsons_among_random_divisions(counts):
    found = metrics.balance_test(*map(drawn_classes, counts), 4)  # a class that never occurs changes nothing
    assert found == pytest.approx(chi2_contingency(counts, correction=False).pvalue, abs=0.04)


def test_the_test_of_balance_keeps_its_level_where_classes_are_rare():
    random, shares = np.random.default_rng(0), 1 / np.arange(1, 81)
    shares /= shares.sum()
    ps = [metrics.balance_test(random.choice(80, 50, p=shares), random.choice(80, 500, p=shares), 80, divisions=199)
          for _ in range(200)]  # fmt: skip
    assert np.mean(np.array(ps) <= 0.05) < 0.1
    assert metrics.balance_test(drawn_classes([30, 0]), drawn_classes([20, 0]), 2) == 1


def test_what_chance_does_to_balance_is_that_of_two_sets_of_real_images():
    real = drawn_classes([60, 40, 20])
    found = metrics.balance_by_chance(real, 150, 3)
    random = np.random.default_rng(3)
    drawn = [metrics.balance(random.choice(real, 120), random.choice(real, 150), 3).value for _ in range(3000)]
    assert found.mean() == pytest.approx(np.mean(drawn), rel=0.06)


# Copies.


def three(train=300, held=120, fake=200, width=6, copied=0, seed=0):
    random = np.random.default_rng(seed)
    t, h, m = (random.normal(size=(n, width)) for n in (train, held, fake))
    m[:copied] = t[7 : 7 + copied] + 1e-3 * m[:copied]
    return t, h, m


def test_copies_are_those_of_loops():
    t, h, m = three(60, 40, 50, 3, copied=5)
    found = metrics.copies(t, h, m, cells=1)
    to_t, to_h, held, among = cdist(m, t), cdist(m, h), cdist(h, t).min(1), cdist(t, t)
    np.fill_diagonal(among, np.inf)
    own = to_t.min(1)
    share = np.mean(own < to_h.min(1))
    assert found.memorised.value == pytest.approx((share - 0.6) / 0.4)
    assert metrics.authenticity(t, m).value == pytest.approx(np.mean(own > among.min(1)[to_t.argmin(1)]))
    u = np.sum(own[:, None] > held)
    assert found.c_t == pytest.approx((u - 50 * 40 / 2) / np.sqrt(50 * 40 * 91 / 12))
    limit = np.quantile(held, 0.01) / 2
    np.testing.assert_array_equal(found.nearest, to_t.argmin(1))
    np.testing.assert_allclose(found.relative_distance, own / limit, rtol=1e-6)


def test_copies_are_found():
    clean, copied = (metrics.copies(*three(held=300, copied=n)) for n in (0, 40))
    assert clean.memorised.interval[0] < 0 < clean.memorised.interval[1]
    assert abs(clean.c_t) < 3
    assert (clean.relative_distance < 1).mean() < 0.02
    assert copied.memorised.interval[0] > 0
    assert copied.memorised.value - clean.memorised.value == pytest.approx(0.2, abs=0.1)
    assert copied.c_t < clean.c_t - 1
    of_clean, of_copied = (
        metrics.authenticity(t, m).value for t, _, m in (three(held=300), three(held=300, copied=40))
    )
    assert of_copied < of_clean - 0.1
    assert (copied.relative_distance[:40] < 1).all()
    assert copied.nearest[:40].tolist() == list(range(7, 47))
    assert copied.twins < 0.01


def test_memorised_is_tested_by_divisions_of_the_real_images():
    assert metrics.copies(*three(held=300, copied=200)).p == 1 / 1000
    ps = [metrics.copies(*three(200, 40, 150, seed=seed)).p for seed in range(60)]
    assert np.mean(np.array(ps) <= 0.1) < 0.25
    assert np.mean(ps) == pytest.approx(0.5, abs=0.15)
    t, h, m = three(12, 6, 40)
    found = metrics.copies(t, h, m)
    times = np.bincount(cdist(m, np.concatenate([t, h])).argmin(1), minlength=18)
    each = [times[list(c)].sum() for c in combinations(range(18), 6)]
    assert found.p == pytest.approx(np.mean(np.array(each) <= times[12:].sum()), abs=0.05)


def test_a_fake_as_near_to_either_counts_half_for_both():
    t, h, m = three(12, 6, 40)
    h[:3] = t[:3]
    apart = cdist(m, np.concatenate([t, h]))
    nearest_ones = apart == apart.min(1, keepdims=True)
    times = (nearest_ones / nearest_ones.sum(1, keepdims=True)).sum(0)
    assert 0 < nearest_ones[:, 12:15].sum() < 40
    each = np.array([times[list(c)].sum() for c in combinations(range(18), 6)])
    expected = np.mean(each <= times[12:].sum() + 1e-9)
    assert 0.02 < expected < 0.98
    assert metrics.copies(t, h, m).p == pytest.approx(expected, abs=0.05)


def test_c_t_weighs_cells_by_held_out_images():
    random = np.random.default_rng(0)
    t, h, m = (np.concatenate([random.normal(0, 1, (a, 3)), random.normal(40, s, (b, 3))])
               for a, b, s in ((300, 300, 1), (200, 50, 1), (100, 100, 2)))  # fmt: skip
    found = metrics.copies(t, h, m, cells=2).c_t

    def z(rows_t, rows_h, rows_m):
        own, held = (cdist(x, t[rows_t]).min(1) for x in (m[rows_m], h[rows_h]))
        u = np.sum(own[:, None] > held)
        n, k = len(own), len(held)
        return (u - n * k / 2) / np.sqrt(n * k * (n + k + 1) / 12)

    first = z(slice(300), slice(200), slice(100))
    second = z(slice(300, None), slice(200, None), slice(100, None))
    assert abs(first - second) > 3
    assert found == pytest.approx((200 * first + 50 * second) / 250)


def test_median_nearness_falls_with_copies_of_most_images():
    t, h, _ = three(60, 40)
    among = cdist(t, t)
    np.fill_diagonal(among, np.inf)
    fresh, copied = (metrics.median_nearness(cdist(m, t).min(1), among.min(1)) for m in (h, t[:40] + 1e-3))
    assert fresh == pytest.approx(np.median(cdist(h, t).min(1)) / np.median(among.min(1)))
    assert 0.8 < fresh < 1.2
    assert copied < 0.01


def test_twins_among_real_images_do_not_hide_copies():
    t, h, m = three(300, 200, 100, copied=30)
    h[:20] = t[:20]  # a tenth of the held-out images is also among the training images
    found = metrics.copies(t, h, m)
    assert found.twins == pytest.approx(0.1, abs=0.01)
    assert (found.relative_distance < 1).mean() == pytest.approx(0.3, abs=0.02)
    same = metrics.copies(t, t, m)
    assert (same.relative_distance == np.inf).all()
    assert (metrics.copies(t, t, t[:10]).relative_distance == 0).all()
    apart, nearest_to, twins = metrics.near_copies(t, h, m)
    assert (apart == found.relative_distance).all() and (nearest_to == found.nearest).all() and twins == found.twins  # noqa: PT018


def test_memorised_influences_are_those_of_leaving_out(monkeypatch):
    module = importlib.import_module("sparring.metrics.copies")
    monkeypatch.setattr(module, "of_counts", lambda changes, changed: changes - changes.mean())
    t, h, m = three(30, 20, 40, 3)

    def memorised(t, h):
        frame = nearest.Points.frame(t, h, m)
        a, b, c = (nearest.Points(x, *frame) for x in (t, h, m))
        return module._excess(nearest.nearest_points(c, a, k=2), nearest.nearest_points(c, b, k=2), len(t), len(h))

    found = memorised(t, h)
    of_t = np.array([29 * (found.value - memorised(np.delete(t, i, 0), h).value) for i in range(30)])
    of_h = np.array([19 * (found.value - memorised(t, np.delete(h, i, 0)).value) for i in range(20)])
    np.testing.assert_allclose(found.real[:30], (of_t - of_t.mean()) * 50 / 30, atol=1e-9)
    np.testing.assert_allclose(found.real[30:], (of_h - of_h.mean()) * 50 / 20, atol=1e-9)


def test_copies_without_enough_images_for_a_cell_have_no_c_t():
    t, h, m = three(30, 10, 15)
    assert np.isnan(metrics.copies(t, h, m).c_t)
    with pytest.raises(DataError, match=r"held-out features have the shape \(2, 6\)"):
        metrics.copies(t, h[:2], m)
    with pytest.raises(DataError, match="real features are 6 wide, held-out ones 5"):
        metrics.copies(t, h[:, :5], m)


def test_diversity_influences_are_those_of_leaving_out():
    x, y = samples(60, 50, 3)
    found = metrics.diversity(x, y)
    less = [metrics.diversity(np.delete(x, i, 0), y).value for i in range(60)]
    np.testing.assert_allclose(found.real, 59 * (found.value - np.array(less)), rtol=0.1, atol=0.03)
    less = [metrics.diversity(x, np.delete(y, i, 0)).value for i in range(50)]
    np.testing.assert_allclose(found.fake, 49 * (found.value - np.array(less)), rtol=0.1, atol=0.03)


# Modes.


def test_modes_of_a_ring_by_hand():
    centres = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    points = np.array([[1.0, 0.02], [1.0, -0.02], [0.0, 1.0], [0.0, 1.031], [-0.9, 0.0]])
    found = metrics.gaussian_modes(points, centres, 0.01)  # two of the first mode, one of the second, two outside
    assert found.covered == 2
    assert found.share == pytest.approx(3 / 5)
    assert found.divergence == pytest.approx(2 / 3 * np.log(8 / 3) + 1 / 3 * np.log(4 / 3))


def test_modes_without_good_samples_and_against_other_shares():
    none = metrics.mode_coverage(np.array([0, 1]), 3, good=np.array([False, False]))
    assert none[:2] == (0, 0)
    assert np.isnan(none.divergence)
    assert metrics.mode_coverage(np.array([0, 0, 1]), 2, truth=np.array([2 / 3, 1 / 3])).divergence == pytest.approx(0)
    assert metrics.mode_coverage(np.array([0, 1]), 2, truth=np.array([1.0, 0.0])).divergence == np.inf
    with pytest.raises(DataError, match="2 samples do not lie in 3 modes"):
        metrics.mode_coverage(np.array([0, 3]), 3)


def test_purity_is_that_of_every_assignment():
    random = np.random.default_rng(0)
    codes, classes = random.integers(0, 4, 60), random.integers(0, 4, 60)
    codes[:30] = (classes[:30] + 1) % 4
    best = max(
        np.mean([order[c] == y for c, y in zip(codes, classes, strict=True)]) for order in permutations(range(4))
    )
    assert metrics.purity(codes, classes, one_to_one=True) == pytest.approx(best)
    majority = sum(max(np.sum((codes == c) & (classes == y)) for y in range(4)) for c in range(4)) / 60
    assert metrics.purity(codes, classes) == pytest.approx(majority)
    assert metrics.purity([0, 1, 0, 1], [1, 1, 1, 1]) == 1
    assert metrics.purity([0, 1, 0, 1], [1, 1, 1, 1], one_to_one=True) == 0.5


# Pictures.


def pictures(seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 256, (2, 13, 12, 3)).astype(np.uint8)
    return np.clip(truth + random.normal(0, 20, truth.shape), 0, 255).astype(np.uint8), truth


def test_psnr_is_the_formula():
    made, truth = pictures()
    error = [np.mean((m.astype(float) - t.astype(float)) ** 2) for m, t in zip(made, truth, strict=True)]
    np.testing.assert_allclose(metrics.psnr(made, truth), 20 * np.log10(255 / np.sqrt(error)))
    assert metrics.psnr(truth, truth)[0] == np.inf


def test_ssim_is_that_of_loops():
    made, truth = pictures()
    offset = np.arange(11) - 5
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()

    def at(a, b):  # one window of one channel
        ma, mb = (window * a).sum(), (window * b).sum()
        va, vb, ab = (
            (window * (a - ma) ** 2).sum(),
            (window * (b - mb) ** 2).sum(),
            (window * (a - ma) * (b - mb)).sum(),
        )
        c1, c2 = 6.5025, 58.5225
        return (2 * ma * mb + c1) * (2 * ab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))

    for found, m, t in zip(metrics.ssim(made, truth), made.astype(float), truth.astype(float), strict=True):
        places = [(i, j, c) for i in range(3) for j in range(2) for c in range(3)]
        loops = [at(m[i : i + 11, j : j + 11, c], t[i : i + 11, j : j + 11, c]) for i, j, c in places]
        assert found == pytest.approx(np.mean(loops), rel=1e-9)
    np.testing.assert_allclose(metrics.ssim(truth, truth), 1)


# What they refuse, and what they hold in memory.


@pytest.mark.parametrize(
    ("real", "fake", "sentence"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4)), "real features are 3 wide, fake ones 4"),
        (np.zeros((5, 3)), np.zeros((1, 3)), r"fake features have the shape \(1, 3\)"),
        (np.zeros(5), np.zeros((5, 1)), r"real features have the shape \(5,\)"),
        (np.diag([0, 0, 1 / np.inf, np.inf]), np.zeros((5, 4)), "real features hold .* not finite, first in row 3"),
    ],
)
@pytest.mark.parametrize(
    "metric",
    [
        metrics.kernel_distance,
        metrics.kernel_test,
        metrics.frechet_distance,
        metrics.frechet_at_infinity,
        metrics.neighbours,
        metrics.diversity,
    ],
)
def test_bad_features_are_refused(metric, real, fake, sentence):
    with pytest.raises(DataError, match=sentence):
        metric(real, fake)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_bad_pictures_are_refused(metric):
    made, truth = pictures()
    with pytest.raises(DataError, match="cannot compare"):
        metric(made[:1], truth)
    with pytest.raises(DataError, match="11 x 11 or more|cannot compare"):
        metrics.ssim(made[:, :9], truth[:, :9])


@pytest.mark.parametrize("metric", [metrics.kernel_distance, metrics.neighbours, metrics.diversity])
def test_memory_is_linear(metric):
    peaks = []
    for n in (2048, 4096):
        x, y = samples(n, n, 4)
        tracemalloc.start()
        metric(x, y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2.3 * peaks[0]
