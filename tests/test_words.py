"""One wording for numbers, shares, durations, budgets and lists."""

import math

import pytest

from sparring import words

MINUTE, HOUR = 60, 3600


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (-3, "0 s"), (0.001, "< 0.01 s"), (0.005, "0.01 s"), (0.021, "0.02 s"), (0.0949, "0.09 s"),
        (0.095, "0.095 s"), (0.27, "0.27 s"), (1.74, "1.7 s"), (9.94, "9.9 s"), (9.96, "10 s"), (17.4, "17 s"),
        (89, "89 s"), (91, "1.5 min"), (2 * MINUTE, "2 min"), (270, "4.5 min"), (600, "10 min"), (2700, "45 min"),
        (5399, "90 min"), (5400, "1 h 30 min"), (2 * HOUR, "2 h"), (7500, "2 h 05 min"), (30 * HOUR, "30 h"),
        (None, words.MISSING), (math.nan, words.MISSING),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert words.duration(seconds) == text
    assert words.duration(None, "unknown") == "unknown"


def test_numbers_and_counts():
    assert [words.number(v) for v in (1796.96, -0.04, -1.25, None, math.inf)] == [
        "1,797.0", "0.0", "-1.2", words.MISSING, words.MISSING,
    ]  # fmt: skip
    assert words.count(1797) == "1,797"
    assert [words.plural(n, "image") for n in (0, 1, 1797)] == ["0 images", "1 image", "1,797 images"]
    assert words.plural(2, "class", "classes") == "2 classes"
    assert [words.times(n) for n in (1, 2, 1000)] == ["once", "2 times", "1,000 times"]
    assert [words.short_count(n) for n in (9999, 12_500, 2_100_000)] == ["9,999", "12.5k", "2.1M"]
    assert [words.significant(v) for v in (0.00012345, -3.14159, 1e6)] == ["0.000123", "-3.14", "1e+06"]
    assert not words.is_number(True) and words.is_number(0) and not words.is_number("1")


def test_shares_and_points():
    assert words.percent(0.9731) == "97.3 %" and words.percent(0.97312, 2) == "97.31 %"
    assert words.percentage(0.9731) == "97.3" and words.percent(None) == words.percentage(None) == words.MISSING
    assert [words.points(v) for v in (0.0123, -0.0123, 0.0032, 0.00949, 0.0095, -1e-9)] == [
        "1.2", "-1.2", "0.32", "0.95", "0.9", "0.00",
    ]  # fmt: skip
    assert [words.points(v, 1, signed=True) for v in (0.0123, -0.0123, 0.0, 1e-5)] == ["+1.2", "-1.2", "0.0", "0.0"]
    assert words.points(0.0032, signed=True) == "+0.32" and words.points(None) == words.MISSING
    assert words.interval(0.968, 0.978) == "96.8 to 97.8" and words.interval(0.9, None) == ""
    assert words.interval(0.1234, 0.5, 3, 1) == "0.123 to 0.500"
    assert [words.p_value(p) for p in (0.0312, 0.0009, 1, None)] == ["0.031", "< 0.001", "1.000", words.MISSING]


def test_budgets_and_lists():
    assert words.budget_name("5", 50) == "5 labels a class (50 in all)"
    assert words.budget_name("1", None) == "1 label a class"
    assert words.budget_name("all", 1000) == "all 1,000 labels" and words.budget_name("all", None) == "all labels"
    assert [words.listed(x) for x in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert words.capitalised("aB c") == "AB c" and words.capitalised("") == ""
