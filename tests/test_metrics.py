"""Metrics against loops, closed forms and scipy."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from sparring import metrics
from sparring.errors import DataError, UsageError
from sparring.metrics import features as arrays


def samples(n=40, m=30, width=6, shift=0.5, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(0, 1, (n, width)), random.normal(shift, 1.3, (m, width))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch, request):
    """Chunks that end in the middle, but for the tests that measure memory."""
    if "memory" not in request.node.name:
        monkeypatch.setattr(arrays.chunks, "__defaults__", (7,))


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


def test_moments_add_up():
    x, y = samples()
    both, sums = metrics.Moments.of(np.concatenate([x, y])), metrics.Moments.of(x) + metrics.Moments.of(y)
    assert sums.count == both.count
    np.testing.assert_allclose(sums.mean, both.mean, atol=1e-12)
    np.testing.assert_allclose(sums.covariance, np.cov(np.concatenate([x, y]).T), rtol=1e-10)


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
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "real features hold values that are not finite"),
    ],
)
@pytest.mark.parametrize(
    "metric", [metrics.kernel_distance, metrics.frechet_distance, metrics.neighbours, metrics.diversity]
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
