"""Traditional classifiers: choices on labels, machines against scikit-learn, graphs against brute force."""

import time
from functools import cache

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from toys import striped

from sparring.classifiers import METHODS, graph, load_model, save_model, selection, spreading
from sparring.classifiers.fit_record import CrossValidation
from sparring.classifiers.logistic import StandardisedFeatures, regression
from sparring.classifiers.selection import (
    choose,
    choose_in_turn,
    fit_temperature,
    mean_and_error,
    stratified_folds,
    subset,
    within_error,
)
from sparring.classifiers.spreading import assumed_shares, graph_guess, graph_members, same_image
from sparring.classifiers.svm import best_features, distances_of, pair_weights
from sparring.features import extract
from sparring.features.cache import CACHE


@cache
def digits():
    """uint8 [1797,8,8,1], int64 [1797]"""
    found = load_digits()
    return (found.images / 16 * 255).round().astype(np.uint8)[..., None], found.target


def drawn(true, count, seed, among=None):
    """Labels with all but `count` a class hidden, drawn from the images `among`."""
    rng, y = np.random.default_rng(seed), np.full(len(true), -1)
    among = np.arange(len(true)) if among is None else among
    for k in range(true.max() + 1):
        of_class = among[true[among] == k]
        y[rng.permutation(of_class)[:count]] = k
    return y


# Choices


def test_folds_have_every_class_and_end_where_a_class_has_one_label():
    labels = np.repeat([0, 1, 2], [9, 3, 20])
    split = stratified_folds(labels, 0)
    assert len(split) == 3 and sorted(np.concatenate([held for _, held in split])) == list(range(32))
    for train, held in split:
        assert set(labels[train]) == set(labels[held]) == {0, 1, 2} and not set(train) & set(held)
    assert stratified_folds(np.array([0, 0, 1]), 0) == []


def test_folds_of_groups_are_whole_even_and_learn_every_class():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        groups = rng.permutation(np.repeat(np.arange(40), rng.integers(1, 8, 40)))
        labels = np.where(rng.random(len(groups)) < 0.9, groups % 3, rng.integers(0, 3, len(groups)))
        folds = stratified_folds(labels, seed, 5, groups)
        assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(groups)))
        for train, held in folds:
            assert not set(groups[train]) & set(groups[held]) and len(train) + len(held) == len(groups)
        counts = np.array([np.bincount(labels[held], minlength=3) for _, held in folds])
        assert np.ptp(counts, axis=0).max() <= 7
        assert all((a == c).all() and (b == d).all() for (a, b), (c, d) in
                   zip(folds, stratified_folds(labels, seed, 5, groups), strict=True))  # fmt: skip
    two = stratified_folds(np.repeat([0, 1], [4, 20]), 0, 5, np.repeat(np.arange(12), 2))
    assert len(two) == 5 and all(len(set(np.repeat([0, 1], [4, 20])[train])) == 2 for train, _ in two)
    assert stratified_folds(np.array([0, 0, 1, 1]), 0, 5, np.array([1, 1, 2, 3])) == []


def test_the_standard_error_of_groups_is_that_of_their_sums():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(0, 1, 30), rng.random(30)
    weight /= weight.sum()
    alone = mean_and_error(values, weight)
    assert alone[1] == pytest.approx(np.sqrt((weight**2 * (values - alone[0]) ** 2).sum()))
    copies = mean_and_error(np.repeat(values, 4), np.repeat(weight, 4) / 4, np.repeat(np.arange(30), 4))
    assert copies == pytest.approx(alone)
    assert not within_error(np.repeat(values + 1, 50), np.full(1500, 1 / 1500), 6)
    assert within_error(np.repeat(values + 1, 50), np.full(1500, 1 / 1500), 6, np.repeat(np.arange(30), 50))


def test_subset_keeps_shares_and_rare_classes():
    labels = np.repeat([0, 1, 2], [9000, 900, 15])
    kept = subset(labels, 1000, 0)
    assert np.bincount(labels[kept]).tolist() == [907, 90, 15]
    assert (np.diff(kept) > 0).all() and (subset(labels, 99999, 0) == np.arange(9915)).all()


@pytest.mark.parametrize("true_temperature", [0.2, 1.0, 5.0])
def test_the_temperature_is_found(true_temperature):
    """Labels drawn from softmax(scores / T) have their least log-loss near T."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 4)) * true_temperature
    labels = (softmax(scores / true_temperature, axis=1).cumsum(1) < rng.random((4000, 1))).sum(1)
    found, losses = fit_temperature(scores, labels)
    assert abs(np.log(found / true_temperature)) < 0.15
    p = softmax(scores / found, axis=1)[np.arange(4000), labels] * (1 - selection.FLOOR) + selection.FLOOR / 4
    assert np.allclose(losses, -np.log(p))


def test_a_few_right_answers_do_not_ask_for_certainty():
    scores = np.eye(3)[np.arange(9) % 3] * 2.0
    few, many = (fit_temperature(np.tile(scores, (n, 1)), np.tile(np.arange(9) % 3, n))[0] for n in (1, 200))
    assert many < few and few > 0.2


def test_the_preferred_setting_stays_unless_another_is_clearly_better():
    labels = np.repeat([0, 1], 60)
    rng = np.random.default_rng(0)
    noise, right = rng.normal(size=(120, 2)), np.eye(2)[labels]

    def held_out(setting, train, held):
        return (right * setting + noise * 0.3)[held]

    def best(*settings):
        return choose(labels, settings, held_out, seed=0, temperature=1.0)

    assert best(0.1, 1.0).settings == 1.0
    assert best(1.0, 0.1).settings == 1.0
    found = best(0.1, 1.0)
    assert [row.settings for row in found.measured.table] == [0.1, 1.0] and found.measured.accuracy > 0.95
    alone = choose(np.array([0, 1, 1]), ["a", "b"], held_out, seed=0, temperature=0.7)
    assert alone == ("a", 0.7, CrossValidation(None, ()))


def test_features_are_chosen_first_and_details_for_them():
    labels = np.repeat([0, 1], 40)
    right, noise = np.eye(2)[labels], np.random.default_rng(0).normal(size=(80, 2))
    quality, asked = {("a", 1): 0.1, ("b", 1): 1.0, ("b", 2): 3.0, ("a", 2): 9.0}, []

    def held_out(setting, train, held):
        asked.append(setting)
        return (right * quality[setting] + noise * 0.3)[held]

    found = choose_in_turn(labels, ("a", "b"), [(1,), (2,)], held_out, seed=0, temperature=1.0)
    assert found.settings == ("b", 2)
    assert [row.settings for row in found.measured.table] == [["a", 1], ["b", 1], ["b", 2]]
    assert asked == [("a", 1)] * 5 + [("b", 1)] * 5 + [("b", 2)] * 5  # nothing twice
    alone = choose_in_turn(np.array([0, 1, 1]), ("a", "b"), [(1,), (2,)], held_out, seed=0, temperature=0.7)
    assert alone.settings == ("a", 1) and alone.temperature == 0.7


def test_as_good_as_the_best_is_within_half_a_standard_error():
    excess = np.random.default_rng(0).normal(size=100)
    excess = (excess - excess.mean()) / excess.std()  # the standard error of their mean is 0.1
    weight = np.full(100, 0.01)
    assert (
        within_error(excess + 0.045, weight)
        and not within_error(excess + 0.055, weight)
        and within_error(excess - 9, weight)
    )


# Logistic regression and support vector machine


@pytest.mark.parametrize(("count", "classes"), [(40, 3), (40, 2), (300, 3)])
def test_logistic_regression_is_scikit_learns(count, classes):
    """With fewer images than features, where the space is turned, and with more."""
    x, y = (tensor.numpy() for tensor in striped(count, classes=classes))
    made = METHODS["logistic"].make(features="pixels", C=0.05).fit(x, y)
    new = striped(50, classes=classes, seed=5)[0].numpy()
    scaler = StandardScaler().fit(extract("pixels", x))
    model = LogisticRegression(C=0.05, class_weight="balanced", tol=1e-8, max_iter=5000)
    model.fit(scaler.transform(extract("pixels", x)), y)
    expected = model.decision_function(scaler.transform(extract("pixels", new)))
    found = extract("pixels", new) @ made.weights_ + made.offset_
    expected = np.stack([-expected, expected], 1) / 2 if classes == 2 else expected
    found, expected = (scores - scores.mean(1, keepdims=True) for scores in (found, expected))
    assert np.allclose(found, expected, atol=0.05)
    assert np.allclose(made.predict_proba(new), softmax(expected / made.temperature_, axis=1), atol=0.05)


def test_a_turned_space_keeps_distances():
    features = np.random.default_rng(0).normal(size=(12, 50)).astype(np.float32)
    space = StandardisedFeatures(features)
    assert space.points.shape == (12, 12)
    scaled = StandardScaler().fit_transform(features.astype(float))
    assert np.allclose(space.points @ space.points.T, scaled @ scaled.T)
    weights, offset = regression(space.points, np.arange(12) % 3, 0.1)
    back, back_offset = space.for_raw_features(weights, offset)
    assert np.allclose(features @ back + back_offset, space.points @ weights + offset, atol=1e-4)


def test_blocks_have_equal_shares_of_the_variance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 6)) * 5, rng.normal(size=(40, 30)) * 0.01
    b[:, 0] *= 1e-3  # hardly varies: counts as a third of its block, so it is not blown up
    space = StandardisedFeatures(a, b)
    scaled = (np.concatenate([a, b], 1) - space.mean) / space.scale
    assert np.allclose(scaled[:, :6].var(0), 1.5) and np.isclose(scaled[:, 6:].var(0).sum(), 9)
    assert scaled[:, 6].std() < 0.01 * scaled[:, 7].std()
    assert np.allclose(space.points @ space.points.T, scaled @ scaled.T)
    weights, offset = regression(space.points, np.arange(40) % 3, 0.1)
    back, back_offset = space.for_raw_features(weights, offset)
    assert np.allclose(np.concatenate([a, b], 1) @ back + back_offset, space.points @ weights + offset, atol=1e-3)
    flat = StandardisedFeatures(a, np.ones((40, 3)))  # a block that tells nothing
    assert np.isfinite(flat.points).all()


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_blocks_are_joined_in_training_and_in_use(name, tmp_path):
    x, y = (tensor.numpy() for tensor in striped(60, 12, 12, 3))
    made = METHODS[name].make(features="hog & lbp & colour-histogram").fit(x[:40], y[:40])
    blocks = [extract(block, x[:40]).astype(float) for block in ("hog", "lbp", "colour-histogram")]
    if name == "svm":
        joined = np.concatenate([b / np.sqrt(b.var(0).sum()) for b in blocks], 1)
        strength, width = made.record_.chosen["C"], made.record_.chosen["width"]
        model = SVC(C=strength, gamma=width / 3, class_weight="balanced", decision_function_shape="ovo")
        expected = model.fit(joined, y[:40]).decision_function(joined)
        assert np.allclose(made._decisions(made._blocks(x[:40])), expected, atol=1e-3)
        mean = distances_of(["hog & lbp & colour-histogram"], x[:40])["hog & lbp & colour-histogram"]
        assert np.allclose(mean, ((joined[:, None] - joined) ** 2).sum(2) / 3, atol=1e-6)
    assert (made.predict(x[40:]) == y[40:]).mean() > 0.9
    save_model(made, tmp_path / "model")
    assert np.allclose(load_model(tmp_path / "model").predict_proba(x), made.predict_proba(x))


def test_colour_tells_classes_that_have_one_shape():
    """The same drawings in warm or in cold paint: HOG sees nothing, the choice on labels finds the colours."""
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    paint = np.where(y[:, None], (200, 90, 60), (60, 90, 200))[:, None, None]
    x = np.clip(paint * rng.uniform(0.4, 1.1, (80, 12, 12, 1)) + rng.normal(0, 5, (80, 12, 12, 3)), 0, 255)
    x = x.astype(np.uint8)
    for name in ("logistic", "svm"):
        made = METHODS[name].make().fit(x[:20], y[:20])
        assert "colour-histogram" in made.record_.chosen["features"]
        assert (made.predict(x[20:]) == y[20:]).mean() > 0.95


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_machine_decides_as_scikit_learn(classes):
    x, y = (tensor.numpy() for tensor in striped(80, width=16, classes=classes))
    known = np.flatnonzero((y[:60] > 0) | (np.arange(60) < 20))  # fewer of the first class: weights matter
    y, new, x = y[known], x, x[known]
    made = METHODS["svm"].make(features="hog", C=0.1, width=1.0).fit(x, y)
    model = SVC(C=0.1, gamma=made.gamma_, class_weight="balanced", decision_function_shape="ovo")
    expected = model.fit(extract("hog", x).astype(float), y).decision_function(extract("hog", new).astype(float))
    expected = -expected[:, None] if classes == 2 else expected  # its sign for a single pair
    assert np.allclose(made._decisions(made._blocks(new)), expected, atol=1e-3)
    assert made._decisions(made._blocks(x))[y == 0, 0].mean() > 0 > made._decisions(made._blocks(x))[y == 1, 0].mean()
    assert pair_weights(made.dual_, made.vector_classes_).shape == (len(made.vectors_), classes * (classes - 1) // 2)


def test_a_class_with_few_labels_counts_alike():
    """3 labels against 60 of two classes that overlap: without weights the small one is hardly ever said."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 3])
    x = np.clip(rng.normal(100 + 60 * np.eye(2)[y][:, :1, None], 90, (63, 8, 8)), 0, 255).astype(np.uint8)
    new_y = np.arange(200) % 2
    new = np.clip(rng.normal(100 + 60 * np.eye(2)[new_y][:, :1, None], 90, (200, 8, 8)), 0, 255).astype(np.uint8)
    made = METHODS["logistic"].make(features="pixels").fit(x, y)
    assert 0.25 < made.predict(new).mean() < 0.75


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_digits_with_five_labels_a_class(name):
    """Accuracy, log-loss and CPU time; log-loss of guessing is 2.3."""
    x, true = digits()
    METHODS[name].make().fit(x[:200], true[:200])  # warm
    accuracy, loss, seconds = [], [], []
    for draw in range(4):
        y = drawn(true, 5, draw)
        begin = time.process_time()
        made = METHODS[name].make(random_state=draw).fit(x, y)
        seconds.append(time.process_time() - begin)
        proba = made.predict_proba(x)[y < 0]
        accuracy.append((proba.argmax(1) == true[y < 0]).mean())
        loss.append(-np.log(proba[np.arange(len(proba)), true[y < 0]]).mean())
    assert np.mean(accuracy) > 0.86 and np.mean(loss) < 0.5
    assert np.median(seconds) < 1.0  # 0.3 s alone; the machine may be busy


def test_best_features_sees_what_tells_the_classes():
    """Brightness tells these classes, gradients do not; and the reverse for waves that begin anywhere."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    flat = (60 + 100 * y[:, None, None, None] + rng.integers(0, 40, (40, 12, 12, 1))).astype(np.uint8)
    assert best_features(flat, y, ("hog", "pixels"), 0) == "pixels"
    assert best_features(flat, y, ("pixels", "hog"), 0) == "pixels"
    phase, at = rng.uniform(0, 6, (40, 1, 1)), np.mgrid[:12, :12]
    waves = np.where(y[:, None, None] == 0, *(128 + 100 * np.sin(axis[None] * 1.3 + phase) for axis in at))
    waves = waves.astype(np.uint8)[..., None]
    assert best_features(waves, y, ("pixels", "hog"), 0) == "hog"
    assert best_features(waves[:2], y[:2], ("pixels", "hog"), 0) == "pixels"  # one label a class: the first


# The graph


def cloud(count=200, size=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def test_nearest_is_exact(monkeypatch):
    points, queries = cloud(), cloud(30, seed=1)
    for known, asked, same in ((points, queries, False), (points, points, True)):
        apart = ((asked[:, None].astype(float) - known) ** 2).sum(2)
        if same:
            np.fill_diagonal(apart, np.inf)
        index, distance = graph.nearest_by_features(asked, known, 7, same=same)
        order = np.argsort(apart, axis=1)[:, :7]
        assert (index == order).mean() > 0.99  # ties within rounding
        assert np.allclose(distance, np.take_along_axis(apart, order, 1), atol=1e-4)
    assert graph.nearest_by_features(points[:3], points[:3], 7, same=True)[0].shape == (3, 2)


def test_principal_components_keep_what_varies():
    x = cloud(300, 3) @ np.random.default_rng(2).normal(size=(3, 40)).astype(np.float32) + 5
    mean, turn = graph.principal(x)
    assert turn.shape[1] == 3  # no more directions than there are
    z = graph.projected(x, mean, turn)
    assert np.allclose(((z[:50, None] - z) ** 2).sum(2), ((x[:50, None] - x) ** 2).sum(2), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("count", [60, 900])
def test_principal_components_are_those_of_scikit_learn(count):
    """Of fewer images than features, too, where an eigenvalue solver in float32 gave NaN."""
    x = np.abs(np.random.default_rng(count).normal(size=(count, 200))).astype(np.float32) * np.linspace(1, 3, 200)
    mean, directions = graph.principal(x.astype(np.float32))
    kept = min(count - 1, graph.DIMENSIONS)
    wanted = PCA(kept, svd_solver="full").fit(x)
    assert directions.shape == (200, kept) and np.allclose(mean, x.mean(0), atol=1e-5)
    shares = ((x - x.mean(0)) @ directions).var(0)[::-1]
    assert np.allclose(shares, wanted.explained_variance_ * (count - 1) / count, rtol=1e-3)
    assert np.allclose(directions.T @ directions, np.eye(kept), atol=1e-4)


def test_images_that_are_all_alike_have_no_directions_and_no_nan():
    mean, directions = graph.principal(np.ones((20, 30), np.float32))
    assert (mean == 1).all() and np.isfinite(directions).all()


def slow_distortion(a, b, move, stride):
    """Every patch and every shift on its own."""
    _, height, width = a.shape
    total = 0.0
    for i in range(1, height - 1, stride):
        for j in range(1, width - 1, stride):
            best = np.inf
            for dy in range(-move, move + 1):
                for dx in range(-move, move + 1):
                    gap = 0.0
                    for u in range(i - 1, i + 2):
                        for v in range(j - 1, j + 2):
                            inside = 0 <= u + dy < height and 0 <= v + dx < width
                            other = b[:, u + dy, v + dx] if inside else np.zeros(2)
                            gap += ((a[:, u, v] - other) ** 2).sum()
                    best = min(best, gap)
            total += best
    return total


@pytest.mark.parametrize(("height", "width", "move", "stride"), [(8, 10, 1, 1), (28, 28, 2, 2)])
def test_distortion_is_what_a_loop_over_patches_gives(height, width, move, stride):
    assert graph.patch_shift(height, width) == move
    a, b = (cloud(1, 2 * height * width, seed=s).reshape(2, height, width) for s in (0, 1))
    found = graph.distortion(torch.tensor(a)[None], torch.tensor(b)[None])
    assert np.isclose(found.item(), slow_distortion(a, b, move, stride), rtol=1e-4)
    assert graph.distortion(torch.tensor(a)[None], torch.tensor(a)[None]).item() == 0


def test_a_moved_image_is_near_after_distortion():
    a = np.zeros((1, 28, 28, 1), np.uint8)
    a[:, 8:20, 12:16] = 255
    moved = np.roll(a, (1, 2), (1, 2))
    pair = [graph.gradient_pair(image) for image in (a, moved)]
    assert graph.distortion(*pair).item() < 1e-6 < (pair[0] - pair[1]).square().sum().item()


def test_larger_images_are_shrunk_and_too_many_are_not_distorted():
    images = np.random.default_rng(0).integers(0, 255, (3, 64, 100, 1), dtype=np.uint8)
    small = graph.distortable(images, "hog")
    assert small.shape == (3, 32, 50, 1)
    assert abs(int(small[0, 0, 0, 0]) - images[0, :2, :2, 0].mean()) <= 0.5
    assert graph.distorts(images) and not graph.distorts(images.repeat(3, axis=3))
    assert graph.distorts(np.broadcast_to(np.uint8(0), (60_000, 28, 28, 1)))
    assert not graph.distorts(np.broadcast_to(np.uint8(0), (600_000, 28, 28, 1)))


def test_labels_flow_as_the_equation_says():
    """Against the dense solution of (I - alpha D^-1/2 W D^-1/2) F = Y, float64."""
    index, distance = graph.nearest_by_features(cloud(60), cloud(60), 5, same=True)
    net = graph.Graph(np.zeros(1), np.zeros((1, 1)), cloud(60), index.astype(np.int32), distance)
    W = np.zeros((60, 60))
    sigma = np.sqrt(distance[:, -1])
    for i in range(60):
        for k, j in enumerate(index[i]):
            w = np.exp(-distance[i, k] / (sigma[i] * sigma[j]))
            W[i, j] += w / 2
            W[j, i] += w / 2
    S = W / np.sqrt(W.sum(0)[:, None] * W.sum(0))
    assert np.allclose(graph.affinity(net).toarray(), S, atol=1e-5)
    sources = np.eye(60, dtype=np.float32)[:, :3]
    for alpha in (0.5, 0.99):
        flow = graph.spread_labels(graph.affinity(net), sources, alpha)
        assert np.allclose(flow, np.linalg.solve(np.eye(60) - alpha * S, sources), rtol=1e-2, atol=1e-4)


def test_duplicates_and_islands_do_no_harm():
    x = np.repeat(striped(3)[0].numpy(), 20, axis=0)
    x[40:] = 255 - x[40:]
    y = np.full(60, -1)
    y[[0, 20]] = [0, 1]  # no label on the third island
    made = METHODS["spreading"].make().fit(x, y)
    proba = made.predict_proba(x)
    assert np.isfinite(proba).all() and (proba[:20].argmax(1) == 0).all() and (proba[20:40].argmax(1) == 1).all()
    assert scipy.sparse.issparse(graph.affinity(made._graph))


def test_class_shares_of_a_mixture_are_found():
    """Images from two known densities, 9 to 1: the maximum-likelihood shares."""
    rng = np.random.default_rng(0)
    centre = np.repeat([0.0, 3.0], [1800, 200])
    at = rng.normal(centre)
    likelihood = np.exp(-((at[:, None] - [0.0, 3.0]) ** 2) / 2)
    found = graph.class_shares(likelihood, np.full(2, 0.5), 0.0)
    assert abs(found[1] - 0.1) < 0.02
    pulled = graph.class_shares(likelihood, np.full(2, 0.5), 1.0)
    assert found[1] + 0.05 < pulled[1] < 0.5


def test_shares_assumed_before_looking():
    assert np.allclose(assumed_shares(np.array([0, 0, 1, 1, 2, 2])), 1 / 3)  # someone chose two a class
    assert np.allclose(assumed_shares(np.array([0] * 7 + [1] * 2)), [8 / 11, 3 / 11])


# Spreading


def imbalanced(large, small, seed=0):
    """Digits: `large` images of the class 3 and `small` of every other, shuffled."""
    x, true = digits()
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(np.flatnonzero(true == k))[: large if k == 3 else small] for k in range(10)]
    kept = rng.permutation(np.concatenate(kept))
    return x[kept], true[kept]


def test_digits_with_five_labels_a_class_spread_to_95_percent():
    """Test images that the graph does not hold, six label draws."""
    x, true = digits()
    accuracy = []
    for draw in range(6):
        order = np.random.default_rng(draw).permutation(1797)
        pool, test = order[:1437], order[1437:]
        y = drawn(true, 5, draw, pool)[pool]
        made = METHODS["spreading"].make(random_state=draw).fit(x[pool], y)
        accuracy.append((made.predict(x[test]) == true[test]).mean())
    assert np.mean(accuracy) >= 0.95


def test_equal_label_counts_do_not_make_classes_equal(monkeypatch):
    """183 images of one class, 12 of every other, 4 labels each. Shares that are read from the images halve the error
    that equal shares give, and cost the small classes nothing."""

    def measured():
        wrong, balanced = [], []
        for draw in range(6):
            x, true = imbalanced(183, 12, draw)
            said = METHODS["spreading"].make(random_state=draw).fit(x, drawn(true, 4, draw)).predict(x)
            wrong.append((said != true).mean())
            balanced.append(np.mean([(said == k)[true == k].mean() for k in range(10)]))
        return np.mean(wrong), np.mean(balanced)

    wrong, balanced = measured()
    monkeypatch.setattr(graph, "class_shares", lambda density, base, strength: base)
    equal_wrong, equal_balanced = measured()
    assert wrong < 0.16 and wrong < 0.6 * equal_wrong
    assert balanced > 0.9 and balanced > equal_balanced - 0.01


def test_a_known_image_has_its_own_value_and_a_new_one_its_neighbours():
    x, true = digits()
    y = drawn(true[:600], 5, 0)
    made = METHODS["spreading"].make().fit(x[:600], y)
    proba = made.predict_proba(x[:700])
    expected = made.spread_.astype(float)
    assert np.allclose(proba[:600], expected / expected.sum(1, keepdims=True))
    index, distance = graph.new_neighbours(made._graph, made.images_, x[600:700], made.extractor_)
    own, others = np.sqrt(distance[:, -1:]), np.sqrt(made._graph.distance[:, -1])[index]
    weight = np.exp(-distance / (own * others))
    mean = (weight[..., None] * expected[index]).sum(1) / weight.sum(1)[:, None]
    assert np.allclose(proba[600:], mean, atol=1e-5)


def test_places_are_found_pixel_for_pixel():
    known = np.random.default_rng(0).integers(0, 255, (50, 5, 7, 1), dtype=np.uint8)
    asked = known[[4, 9, 4]].copy()
    asked[1, 2, 3, 0] ^= 1
    assert same_image(known, asked).tolist() == [4, -1, 4]
    assert same_image(known, known).tolist() == list(range(50))


def test_a_graph_is_built_once_for_all_labels(monkeypatch):
    x, true = digits()
    CACHE.clear()
    calls = []
    whole = graph.built_graph
    monkeypatch.setattr(graph, "built_graph", lambda images, extractor: calls.append(1) or whole(images, extractor))
    for draw in range(3):
        METHODS["spreading"].make(features="hog", random_state=draw).fit(x[:300], drawn(true[:300], 3, draw))
    assert len(calls) == 1
    METHODS["spreading"].make(features="hog").fit(x[:301], drawn(true[:301], 3, 0))
    assert len(calls) == 2


def test_the_guess_for_networks_says_how_good_it_is():
    x, true = digits()
    y = drawn(true[:800], 8, 0)
    proba, accuracy = graph_guess(x[:800], y, 0)
    assert proba.dtype == np.float32 and proba.shape == (800, 10) and np.allclose(proba.sum(1), 1, atol=1e-5)
    assert abs(accuracy - (proba.argmax(1) == true[:800])[y < 0].mean()) < 0.08
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (300, 8, 8, 1), dtype=np.uint8)
    assert graph_guess(noise, drawn(rng.permutation(np.arange(300) % 10), 8, 0), 0)[1] < 0.3  # nothing to see there
    assert graph_guess(x[:800], drawn(true[:800], 1, 0), 0)[1] == 0.0  # cannot be measured


def test_more_images_than_a_graph_takes_are_guessed_from_it(monkeypatch):
    x, true = digits()
    y = drawn(true[:900], 8, 0)
    assert (np.diff(graph_members(y, 500, 0)) > 0).all() and set(np.flatnonzero(y >= 0)) <= set(
        graph_members(y, 500, 0)
    )
    monkeypatch.setattr(spreading, "LARGEST_GRAPH", 500)
    proba, _ = graph_guess(x[:900], y, 0)
    assert (proba.argmax(1) == true[:900])[y < 0].mean() > 0.9
    made = METHODS["spreading"].make().fit(x[:900], y)
    assert len(made.images_) == 500 and made.record_.chosen["images"] == 500


def test_probabilities_fit_held_out_labels():
    """Mean confidence and accuracy on unlabelled digits agree within 5 points."""
    x, true = digits()
    confidence, right = [], []
    for draw in range(3):
        y = drawn(true, 10, draw)
        proba = METHODS["spreading"].make(random_state=draw).fit(x, y).predict_proba(x)[y < 0]
        confidence.append(proba.max(1).mean())
        right.append((proba.argmax(1) == true[y < 0]).mean())
    assert abs(np.mean(confidence) - np.mean(right)) < 0.05


# Real images


def mnist(folder):
    with np.load(folder / "mnist.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.slow
def test_a_hundred_labels_of_mnist(real_data):
    """On 10,000 of its images as the pool and 2,000 others, all of the training part: `benchmarks` has the whole."""
    file = mnist(real_data)
    order = np.random.default_rng(0).permutation(60_000)[:12_000]
    x, true = file["x_train"][order], file["y_train"][order].astype(np.int64)
    wrong = {"svm": [], "spreading": []}
    for draw in range(2):
        y = drawn(true, 10, draw, np.arange(10_000))[:10_000]
        for name, list_ in wrong.items():
            made = METHODS[name].make(random_state=draw).fit(x[:10_000], y)
            list_.append((made.predict(x[10_000:]) != true[10_000:]).mean())
    assert np.mean(wrong["svm"]) < 0.12 and np.mean(wrong["spreading"]) < 0.04
