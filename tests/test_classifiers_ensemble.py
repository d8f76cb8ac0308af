"""The ensemble: which members held-out labels choose, that one member is that method exactly, and its model folder."""

import json
import pickle

import numpy as np
import pytest
from scipy.special import softmax
from toys import striped

from sparring.classifiers import METHODS, EnsembleClassifier, LogisticClassifier, load_model, save_model
from sparring.classifiers.ensemble import averaged, mixture
from sparring.classifiers.selection import class_weights, fit_temperature
from sparring.errors import UsageError


def few(count=9):
    """24 striped images of 8x8 with noise, the first `count` labelled."""
    x, y = (a.numpy().copy() for a in striped(24, 8, 8, 1))
    rng = np.random.default_rng(0)
    x = np.where(rng.random(x.shape) < 0.4, rng.integers(0, 200, x.shape), x).astype(np.uint8)
    y[count:] = -1
    return x, y


def opinions(rng, labels, sure, classes=3):
    """Probabilities [N,K] of a member whose scores of the true class are `sure` higher, and noisy."""
    return softmax(rng.normal(size=(len(labels), classes)) + sure * np.eye(classes)[labels], axis=1)


def test_two_members_with_independent_errors_are_averaged():
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    proba = np.stack([opinions(rng, labels, sure) for sure in (1.5, 1.5, 0.0)])
    found = mixture(proba, labels, ("a", "b", "noise"))
    assert found.weights[0] > 0.3 and found.weights[1] > 0.3 and found.weights[2] < 0.15
    assert sum(found.weights) == pytest.approx(1)
    rows = {row.settings: row for row in found.measured.table}
    assert rows["together"].log_loss < min(rows[f"alone: {name}"].log_loss for name in ("a", "b", "noise"))
    assert found.measured.accuracy == pytest.approx(rows["together"].accuracy, abs=1e-4)


def test_the_mixture_against_a_search_of_all_weights():
    """Greedy selection comes to within a thousandth of the best of all tenths."""
    rng = np.random.default_rng(1)
    labels = np.arange(300) % 3
    proba = np.stack([opinions(rng, labels, sure) for sure in (1.8, 1.2)])
    weight = class_weights(labels)

    def loss(first):
        mean = first * proba[0] + (1 - first) * proba[1]
        return (weight * fit_temperature(np.log(mean), labels)[1]).sum()

    best = min(loss(tenth / 10) for tenth in range(11))
    found = mixture(proba, labels, ("a", "b"))
    assert loss(found.weights[0]) < best + 1e-3
    assert found.measured.table[-1].log_loss == pytest.approx(loss(found.weights[0]), abs=1e-4)


def test_one_member_where_the_others_bring_nothing():
    rng = np.random.default_rng(2)
    labels = np.arange(120) % 3
    good, noise = opinions(rng, labels, 6.0), opinions(rng, labels, 0.0)
    found = mixture(np.stack([noise, good]), labels, ("noise", "good"))
    assert found.weights == (0.0, 1.0) and found.temperature == 1.0
    same = mixture(np.stack([good, good]), labels, ("first", "second"))
    assert same.weights == (1.0, 0.0)  # the preferred one, where they cannot be told apart


def test_the_mean_is_used_only_where_it_is_better_by_more_than_one_standard_error():
    used = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels = np.arange(60) % 3
        proba = np.stack([opinions(rng, labels, 2.5), opinions(rng, labels, 1.5)])
        found = mixture(proba, labels, ("a", "b"))
        weight = class_weights(labels)
        alone, *means = (
            fit_temperature(np.log(tenths * proba[0] + (1 - tenths) * proba[1]), labels)[1]
            for tenths in (1.0, *(first / count for count in range(1, 11) for first in range(count + 1)))
        )
        excess = alone - min(means, key=lambda losses: losses.mean())
        clear = excess.mean() > np.sqrt((weight**2 * (excess - excess.mean()) ** 2).sum())
        used.append(max(found.weights) < 1)
        assert clear or not used[-1]  # greedy selection finds at most what the search of all weights does
    assert 0 < sum(used) < 12


def test_the_usual_weights_are_kept_unless_others_are_clearly_better():
    rng = np.random.default_rng(3)
    labels = np.arange(60) % 3
    proba = np.stack([opinions(rng, labels, sure) for sure in (2.0, 1.6, 0.5)])
    names, usual = ("a", "b", "c"), (0.5, 0.5, 0.0)
    kept = mixture(proba, labels, names, usual)
    mean = (proba[0] + proba[1]) / 2
    temperature, losses = fit_temperature(np.log(mean), labels)
    assert kept.weights == usual and kept.temperature == temperature
    assert kept.measured.table[-1].settings == "usual"
    assert kept.measured.table[-1].log_loss == pytest.approx((class_weights(labels) * losses).sum(), abs=1e-4)
    assert kept.measured.accuracy == pytest.approx(kept.measured.table[-1].accuracy, abs=1e-4)
    clear = mixture(np.stack([*proba[:2], opinions(rng, labels, 8.0)]), labels, names, usual)
    assert clear.weights == (0.0, 0.0, 1.0) and clear.measured.accuracy == 1.0


def test_probe_and_spreading_alike_where_a_class_has_one_label():
    x, y = (a.numpy().copy() for a in striped(24, 16, 16, 3))
    y[3:] = -1
    made = EnsembleClassifier(device="cpu", random_state=0).fit(x, y)
    assert made.record_.chosen["weights"] == {"probe": 0.5, "spreading": 0.5}


def test_the_average_by_hand():
    proba = np.array([[[0.8, 0.2]], [[0.4, 0.6]]])
    assert averaged(proba, (0.75, 0.25), 1.0) == pytest.approx(np.array([[0.7, 0.3]]))
    root = np.sqrt([0.7, 0.3])
    assert averaged(proba, (0.75, 0.25), 2.0)[0] == pytest.approx(root / root.sum())


def test_a_single_member_is_that_method_to_the_last_bit():
    x, y = few()
    made = METHODS["ensemble"].make(members="logistic", random_state=3).fit(x, y)
    alone = METHODS["logistic"].make(random_state=3).fit(x, y)
    assert np.array_equal(made.predict_proba(x), alone.predict_proba(x))
    assert made.record_.chosen["weights"] == {"logistic": 1.0}


def test_it_hides_labels_from_its_members(monkeypatch):
    """No member sees the label that it is asked for, all see all images, and in the end all labels."""
    x, y = few()
    shown, asked = [], []

    class Watched(LogisticClassifier):
        def _fit(self, images, labels):
            shown.append(labels.copy())
            super()._fit(images, labels)

        def _predict_proba(self, images):
            asked.append([np.flatnonzero((x == image).all((1, 2, 3)))[0] for image in images])
            return super()._predict_proba(images)

    monkeypatch.setattr(type(METHODS["logistic"]), "estimator_class", lambda self: Watched)
    EnsembleClassifier(members="logistic,svm").fit(x, y)
    assert all(len(labels) == 24 for labels in shown)
    for labels, held in zip(shown[:6], asked, strict=True):
        assert (labels[held] == -1).all() and (y[held] >= 0).all()
        assert ((labels >= 0).sum(), len(held)) == (6, 3)
    assert sorted(np.concatenate(asked).tolist()) == sorted([*range(9)] * 2)
    assert all(np.array_equal(labels, y) for labels in shown[6:])


def test_it_is_saved_and_loaded(tmp_path):
    x, y = few()
    made = METHODS["ensemble"].make(members="logistic,svm,spreading", random_state=1).fit(x, y)
    made.members_ = [METHODS[name].make(random_state=1).fit(x, y) for name in ("logistic", "spreading")]
    made.weights_, made.temperature_ = [0.25, 0.75], 1.3  # whatever the labels chose
    p = made.predict_proba(x)
    expected = averaged(np.stack([member.predict_proba(x) for member in made.members_]), (0.25, 0.75), 1.3)
    assert p == pytest.approx(expected)
    folder = save_model(made, tmp_path / "model")
    again = load_model(folder)
    assert np.array_equal(again.predict_proba(x), p) and again.weights_ == [0.25, 0.75]
    assert np.array_equal(pickle.loads(pickle.dumps(made)).predict_proba(x), p)
    assert "has those images" in (folder / "README.md").read_text()  # the limit of spreading
    assert again.predict(x[0]) in again.classes_


def test_it_is_deterministic_and_its_record_is_json():
    x, y = few()
    made, again = (METHODS["ensemble"].make(members="svm,spreading", random_state=2).fit(x, y) for _ in range(2))
    assert np.array_equal(made.predict_proba(x), again.predict_proba(x))
    record = json.loads(json.dumps(made.record_.to_json(), allow_nan=False))
    assert sum(record["chosen"]["weights"].values()) == pytest.approx(1)
    assert [row["settings"] for row in record["cross_validation"]["table"]] == [
        "alone: svm", "alone: spreading", "together"
    ]  # fmt: skip


def test_one_label_a_class_takes_the_first_member():
    x, y = few(3)
    made = METHODS["ensemble"].make(members="svm,logistic").fit(x, y)
    assert made.record_.chosen["weights"] == {"svm": 1.0} and made.record_.cross_validation.accuracy is None


def test_without_a_pretrained_network_its_members_need_none():
    made = METHODS["ensemble"].make(pretrained="none")
    assert {"logistic", "svm", "spreading"} == set(made._names())
    with pytest.raises(UsageError, match=r"unknown method 'smv'.*did you mean svm"):
        METHODS["ensemble"].make(members="smv").fit(*few())
