"""The gate of generated images: its numbers by hand, and how often it passes where nothing helps."""

import numpy as np
import pytest
from scipy import stats

from sparring.classifiers.gate import (
    DUPLICATES,
    NOTHING,
    SHARES,
    Extra,
    beats_controls,
    best_share,
    gate_of,
    halves,
    paired_interval,
)

HALF, ONE = Extra("generated", 0.5), Extra("generated", 1.0)


def right(count, of=40, every=1):
    """The first `count` of `of` images right, or every second of them ..."""
    found = np.zeros(of)
    found[: count * every : every] = 1
    return found


def test_the_gate_by_hand():
    y = np.array([0] * 10 + [1] * 20)
    real, copies, generated = np.zeros(30), np.zeros(30), np.zeros(30)
    real[:5], copies[:6], generated[:8] = 1, 1, 1
    copies[10:12], generated[10:15] = 1, 1
    gate = gate_of({NOTHING: real, DUPLICATES: copies, HALF: generated}, y, 0.5)
    for other, mean, low in (
        (real, gate.difference, gate.low),
        (copies, gate.over_duplicates.mean, gate.over_duplicates.low),
    ):
        classes = [(generated - other)[y == c] for c in (0, 1)]
        assert mean == pytest.approx(np.mean([d.mean() for d in classes]), abs=1e-5)
        # One more image that only one of them gets right, in either direction: weight 1 / (2 * 10) or 1 / (2 * 20).
        more = 2 * np.mean([1 / 20**2, 1 / 40**2])
        error = np.sqrt(sum(stats.sem(d) ** 2 for d in classes) / 4 + more)
        assert low == pytest.approx(mean - stats.t.ppf(0.975, 28) * error, abs=2e-5)
    assert gate.difference == pytest.approx(0.275, abs=1e-5)
    assert gate.without == pytest.approx(0.25) and gate.with_ == pytest.approx(0.525)
    assert [(t.extra, round(t.accuracy, 4), t.images) for t in gate.trials] == [
        ("nothing", 0.25, 30), ("duplicates", 0.35, 30), ("generated", 0.525, 30)
    ]  # fmt: skip
    assert gate.passed is False and gate.sentence == (
        "On 30 held-out labelled images, balanced accuracy was 25.0 % with real images alone, 35.0 % with as many "
        "copies of real images and 52.5 % with generated images at a share of 0.5: +27.5 points "
        f"({100 * gate.low:+.1f} to {100 * gate.high:+.1f}) more than real images alone and +17.5 points "
        f"({100 * gate.over_duplicates.low:+.1f} to {100 * gate.over_duplicates.high:+.1f}) more than copies "
        "(intervals of 95.0 %), so generated images were not used."
    )


def test_three_shares_make_the_intervals_wider():
    y = np.arange(60) % 2
    arms = {NOTHING: right(20, 60), DUPLICATES: right(22, 60), HALF: right(50, 60)}
    one = gate_of(arms, y, 0.5)
    three = gate_of(arms | {Extra("generated", s): right(40, 60) for s in (0.25, 1.0)}, y, 0.5)
    ratio = stats.t.ppf(1 - 0.025 / 3, 58) / stats.t.ppf(0.975, 58)
    assert (three.high - three.low) / (one.high - one.low) == pytest.approx(ratio, rel=1e-3)
    assert one.passed and three.passed and "98.3 %" in three.sentence and three.sentence.endswith("were used.")


def test_both_controls_must_be_beaten_on_all_images():
    y, low, high = np.arange(60) % 2, right(20, 60), right(50, 60)
    assert gate_of({NOTHING: low, DUPLICATES: low, HALF: high}, y, 0.5).passed is True
    assert gate_of({NOTHING: low, DUPLICATES: high, HALF: high}, y, 0.5).passed is False
    assert gate_of({NOTHING: high, DUPLICATES: low, HALF: high}, y, 0.5).passed is False
    tried = np.where(np.arange(60) < 30, 1.0, np.nan)
    gate = gate_of({NOTHING: tried * low, DUPLICATES: tried * low, HALF: tried * high}, y, 0.5)
    assert gate.passed is False and gate.low > 0 and "On 30 held-out labelled images, half of all," in gate.sentence


@pytest.mark.parametrize(("more", "passed"), [(5, False), (6, True)])
def test_the_gate_is_as_strict_as_the_exact_test(more, passed):
    """Images that differ all in one direction: the sign test's one-sided p of 5 is 0.031, that of 6 is 0.016."""
    y, real = np.arange(200) % 10, right(180, 200)
    generated = right(180 + more, 200)
    assert bool(stats.binomtest(more, more, alternative="greater").pvalue < 0.025) is passed
    assert gate_of({NOTHING: real, DUPLICATES: real, HALF: generated}, y, 0.5).passed is passed


def test_a_class_with_one_image_has_the_variance_of_all():
    d, y = np.array([1.0, 0, 0, 1, -1, 1]), np.array([0, 0, 0, 0, 0, 1])
    found = paired_interval(d, y)
    variance = (d[:5].var(ddof=1) / 5 + d.var(ddof=1)) / 4 + 2 * np.mean([1 / 10**2, 1 / 2**2])
    assert found.mean == pytest.approx((0.2 + 1) / 2)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(variance))


def test_the_best_share_by_balanced_accuracy():
    y = np.array([0] * 30 + [1] * 10)
    arms = {NOTHING: right(30), DUPLICATES: right(30), HALF: right(32), ONE: np.r_[np.zeros(30), np.ones(10)]}
    assert best_share(arms, y) == 0.5  # 60 % against 50 %
    assert best_share({HALF: right(20), ONE: right(20)}, y) == 0.5  # the smaller of equal ones
    assert beats_controls(arms, y, 0.5) and not beats_controls(arms, y, 1.0)


def test_halves_hold_every_class_and_every_labelled_image_once():
    y = np.random.default_rng(0).integers(-1, 4, 90)
    first, second = halves(y, 3)
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.flatnonzero(y >= 0))
    for label in range(4):
        counts = [(y[half] == label).sum() for half in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1


def simulated(rng, y, accuracies, share_of_image=0.7):
    """Which images each way of training gets right; images are hard or easy for all of them alike."""
    hard = rng.normal(size=len(y)) * np.sqrt(share_of_image)
    noise = rng.normal(size=(len(accuracies), len(y))) * np.sqrt(1 - share_of_image)
    return (hard + noise < stats.norm.ppf(accuracies)[:, None]).astype(float)


@pytest.mark.parametrize(("images", "classes", "accuracy"), [(200, 10, 0.9), (60, 3, 0.5)])
def test_false_passes_stay_at_the_level(images, classes, accuracy):
    """Nothing helps, and copies do great harm, so that one control alone keeps the gate: at most 2.5 % may pass.

    Without the wider interval, the best of three would pass too often: this is tested too.
    """
    rng, y, repeats = np.random.default_rng(1), np.arange(images) % classes, 600
    first = np.arange(images) // classes % 2 == 0
    passed = naive = 0
    for _ in range(repeats):
        real, *generated = simulated(rng, y, np.full(4, accuracy))
        arms = {NOTHING: real, DUPLICATES: np.zeros(images)} | {
            Extra("generated", share): values for share, values in zip(SHARES, generated, strict=True)
        }
        seen = {extra: values[first] for extra, values in arms.items()}
        best = best_share(seen, y[first])
        passed += beats_controls(seen, y[first], best) and gate_of(arms, y, best).passed
        top = Extra("generated", best_share(arms, y))
        naive += paired_interval(arms[top] - real, y).low > 0
    assert passed / repeats <= 0.025 and naive / repeats > 0.03


def test_useful_images_pass():
    rng, y, repeats = np.random.default_rng(2), np.arange(200) % 10, 40
    passed = 0
    for _ in range(repeats):
        values = simulated(rng, y, np.array([0.7, 0.7, 0.85]))
        passed += gate_of(dict(zip((NOTHING, DUPLICATES, HALF), values, strict=True)), y, 0.5).passed
    assert passed / repeats > 0.9
