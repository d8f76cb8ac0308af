"""What twice as many labels would bring, against a power law that is known."""

import numpy as np
import pytest

from sparring.study.learning_curve import gain_of_doubling, more_labels


def right(rng: np.random.Generator, error: float, repeats: int = 6, images: int = 400) -> np.ndarray:
    """Return what is right, bool [R,T]: images differ in how hard they are, and draws a little."""
    hard = rng.beta(2 * error, 2 * (1 - error), images)
    draw = np.exp(rng.normal(0, 0.05, (repeats, 1)))
    return rng.random((repeats, images)) > (hard * draw).clip(0, 1)


def pair(rng: np.random.Generator, few: float, many: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what is right with fewer and with more labels, on the same images."""
    state = rng.bit_generator.state
    low = right(rng, few)
    rng.bit_generator.state = state
    hard = rng.beta(2 * few, 2 * (1 - few), low.shape[1]) * many / few
    return low, rng.random(low.shape) > hard.clip(0, 1)


def test_the_gain_follows_the_power_of_the_last_step():
    """Errors of 20 % at 100 and 10 % at 400 labels: the power is 1/2, so 800 labels have 10 / sqrt(2) %."""
    low, high = np.ones((2, 100), bool), np.ones((2, 100), bool)
    low[:, :20], high[:, :10] = False, False
    found = gain_of_doubling(low, high, 4.0)
    assert found.mean == pytest.approx(0.1 - 0.1 / np.sqrt(2))
    assert found.low <= found.mean <= found.high


def test_what_did_not_fall_is_not_carried_on():
    low, high = np.ones((2, 100), bool), np.ones((2, 100), bool)
    low[:, :10], high[:, :20] = False, False
    assert gain_of_doubling(low, high, 4.0).mean == 0


def test_errors_never_fall_faster_than_labels_grow():
    low, high = np.zeros((2, 100), bool), np.ones((2, 100), bool)
    high[:, :8] = False
    assert gain_of_doubling(low, high, 2.0).mean == pytest.approx(0.04)


def test_no_error_left_brings_next_to_nothing():
    low, high = np.ones((6, 50), bool), np.ones((6, 50), bool)
    found = gain_of_doubling(low, high, 4.0)
    assert 0 <= found.low <= found.mean <= found.high < 0.01


def test_the_interval_holds_the_true_gain():
    """30 % at 50, 20 % at 200 labels: the next doubling brings 20 % x (1 - (20/30)^(1/2))."""
    truth = 0.2 * (1 - (2 / 3) ** 0.5)
    rng, inside = np.random.default_rng(4), []
    for _ in range(100):
        found = gain_of_doubling(*pair(rng, 0.3, 0.2), 4.0)
        inside.append(found.low <= truth <= found.high)
    assert np.mean(inside) >= 0.9


def test_each_method_by_its_two_largest_budgets():
    rng = np.random.default_rng(1)
    few, some, many = (dict(enumerate(right(rng, e))) for e in (0.4, 0.3, 0.2))
    given = {("svm", "5"): few, ("svm", "20"): some, ("svm", "all"): many, ("cnn", "all"): many}
    (found,) = more_labels(given, ("5", "20", "all"), {"5": 50, "20": 200, "all": 800})
    assert (found.method, found.budget, found.fewer, found.labels) == ("svm", "all", 200, 800)
    low, high = (np.stack(list(rows.values())) for rows in (some, many))
    assert found.gain == gain_of_doubling(low, high, 4.0)


def test_all_that_is_no_more_than_20_a_class_counts_once():
    rng = np.random.default_rng(2)
    few, many = (dict(enumerate(right(rng, e))) for e in (0.4, 0.3))
    given = {("svm", "5"): few, ("svm", "20"): many, ("svm", "all"): many}
    (found,) = more_labels(given, ("5", "20", "all"), {"5": 50, "20": 200, "all": 200})
    assert (found.budget, found.fewer, found.labels) == ("20", 50, 200)
