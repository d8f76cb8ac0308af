"""Calibration, log loss and Brier score against scikit-learn, brute force and simulation."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from sparring.study import probabilities


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def predictions(seed: int = 0, *, repeats: int = 3, images: int = 300, classes: int = 4):
    rng = random(seed)
    truth = rng.integers(0, classes, images)
    logits = rng.normal(size=(repeats, images, classes)) + 2 * np.eye(classes)[truth]
    return (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32), truth


def test_log_loss_and_brier_are_sklearns():
    proba, truth = predictions()
    found = probabilities.calibration(proba, truth, draws=10)
    exact = proba.astype(float)
    exact /= exact.sum(-1, keepdims=True)
    assert found.nll.mean == pytest.approx(np.mean([log_loss(truth, p) for p in exact]), rel=1e-5)
    expected = np.mean([brier_score_loss(truth, p, scale_by_half=False) for p in exact])
    assert found.brier.mean == pytest.approx(expected, rel=1e-5)


def test_a_log_loss_is_finite():
    assert probabilities.log_losses(np.array([[0.0, 1.0]]), np.array([0]))[0] == pytest.approx(-math.log(1e-7))


def test_ece_is_brute_force():
    """15 bins of 20 images each, sorted by confidence."""
    proba, truth = predictions(images=300)
    confidence, right = proba[0].max(1).astype(float), proba[0].argmax(1) == truth
    order = np.argsort(confidence)
    expected = sum(len(b) / 300 * abs(right[b].mean() - confidence[b].mean()) for b in np.array_split(order, 15))
    curve = probabilities.Calibration(confidence, right)
    assert curve.error() == pytest.approx(expected)
    table = curve.table()
    assert [b.count for b in table] == pytest.approx([20] * 15)
    assert table[0].accuracy == pytest.approx(right[order[:20]].mean())
    assert table[-1].confidence == pytest.approx(confidence[order[-20:]].mean())


def test_weights_are_images_counted_several_times():
    proba, truth = predictions(images=100)
    confidence, right = proba[0].max(1).astype(float), proba[0].argmax(1) == truth
    weights = random(2).integers(0, 4, 100)
    several = np.repeat(np.arange(100), weights)
    expected = probabilities.Calibration(confidence[several], right[several]).error()
    assert probabilities.Calibration(confidence, right).error(weights.astype(float)) == pytest.approx(expected)


def test_one_confidence_for_all_is_one_bin():
    """The floor's constant confidence of 0.3 with 30 % right is perfectly calibrated, whatever the order of images."""
    right = np.array([True] * 3 + [False] * 7).repeat(6)
    assert probabilities.Calibration(np.full(60, 0.3), right).error() == pytest.approx(0, abs=1e-12)
    assert probabilities.Calibration(np.full(60, 0.5), right).error() == pytest.approx(0.2)


def test_calibration_intervals_hold_their_values_and_repeat():
    proba, truth = predictions()
    found = probabilities.calibration(proba, truth)
    assert found == probabilities.calibration(proba, truth)
    for low, mean, high in ((v.low, v.mean, v.high) for v in found):
        assert 0 <= low < mean < high


def test_calibration_intervals_cover_what_new_images_and_repeats_give():
    """NLL and Brier of a known process; ECE against its own mean on test parts of the same size."""
    rng, parts = random(14), []
    for seed in range(60):
        proba, truth = predictions(1000 + seed, repeats=6, images=200)
        proba = proba ** (1 + rng.normal(0, 0.1, (6, 1, 1)))  # repeats differ in how bold they are
        parts.append(
            probabilities.calibration((proba / proba.sum(-1, keepdims=True)).astype(np.float32), truth, draws=60)
        )
    for measure in ("ece", "nll", "brier"):
        found = [getattr(part, measure) for part in parts]
        truth = np.mean([f.mean for f in found])
        assert np.mean([f.low <= truth <= f.high for f in found]) >= 0.85, measure


def test_the_ece_interval_lies_about_its_value():
    """Resampling adds to an ECE; without the shift back the whole interval would lie above the value."""
    proba, truth = predictions(images=80, repeats=6)
    _, low, _ = probabilities.calibration(proba, truth).ece
    value, _, high = probabilities.calibration(proba, truth).ece
    assert low < value - 0.2 * (high - low)
    assert high > value + 0.2 * (high - low)
