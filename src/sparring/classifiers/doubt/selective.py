"""When to answer and when to say "unsure": selective classification (Chow 1970; Geifman & El-Yaniv 2017). Pure.

The threshold is the lowest confidence above which held-out answers are right often enough. One wrong answer more than
was seen is counted, as conformal risk control does (Angelopoulos et al. 2024, arXiv:2208.02814):

    (wrong + 1) / (answered + 1) <= 1 - precision

So 9 right answers without a wrong one are the least that can promise 90 %. The rule is ours: that answers to new images
keep it is measured (benchmarks/results/doubt.md), not proved, because the threshold is chosen on the same labels.
"""

from typing import NamedTuple

import numpy as np

from ...stats import Interval, share_interval
from .conformal import unit_weights

PRECISION = 0.9  # of the answers that are given
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.25)  # of images answered, in the table


class Threshold(NamedTuple):
    """DoubtedAnswers of at least this `confidence` are given; None where no threshold keeps the stated `precision`.

    `answered`: the share of the held-out images that are. `right`: the share of these answers that is right, and its
    95 % interval; None where none is given.
    """

    precision: float
    confidence: float | None
    answered: float
    right: Interval | None


def threshold(
    confidence: np.ndarray, right: np.ndarray, precision: float = PRECISION, groups: np.ndarray | None = None
) -> Threshold:
    """Return the lowest threshold that keeps a precision, by held-out answers: confidence [n] and whether right [n].

    groups [n]: each has the same weight, however many images it has.
    """
    weights = unit_weights(groups, len(right))
    order = np.argsort(-confidence, kind="stable")
    wrong, answered = np.cumsum((weights * ~right)[order]), np.cumsum(weights[order])
    last = np.append(np.diff(confidence[order]) < 0, True)  # of equal confidences all are answered or none
    kept = np.flatnonzero(last & (wrong + 1 <= (1 - precision) * (answered + 1) + 1e-9))
    if not len(kept):
        return Threshold(precision, None, 0.0, None)
    given = order[: kept[-1] + 1]
    found = share_interval(right[None, given], None if groups is None else groups[given])
    return Threshold(precision, float(confidence[given[-1]]), len(given) / len(right), found)


class Answered(NamedTuple):
    """Of the `share` of images of which a classifier is surest: the confidence of the last one, and the accuracy."""

    share: float
    confidence: float
    accuracy: float


def accuracy_by_share(confidence: np.ndarray, right: np.ndarray) -> tuple[Answered, ...]:
    """Return the accuracy of the surest answers, from all of them to a quarter; confidence [n], right [n]."""
    order, n = np.argsort(-confidence, kind="stable"), len(right)
    counts = dict.fromkeys(max(1, round(share * n)) for share in SHARES) if n else {}
    return tuple(
        Answered(count / n, float(confidence[order[count - 1]]), float(right[order[:count]].mean())) for count in counts
    )
