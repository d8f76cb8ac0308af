"""What more labels would bring: the errors of a method at two budgets, carried on to twice as many labels."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..stats import LEVEL, Interval
from .records import MoreLabels

DRAWS = 400  # of the bootstrap
STEEPEST = 1.0  # errors fall at most in proportion to the labels: a steeper pace is luck


def more_labels(
    right: Mapping[tuple[str, str], Mapping[int, np.ndarray]],
    budgets: Sequence[str],
    labels: Mapping[str, int],
    groups: np.ndarray | None = None,
) -> tuple[MoreLabels, ...]:
    """Return, for each method with fits at two budgets, what twice as many labels as at the larger one would bring.

    right: (method, budget) -> repeat -> bool [T]; labels: how many labels a budget is in all. Budgets of the same
    number of labels count once, and the two largest of a method are used. groups [T]: of the test images.
    """
    found = []
    for method in dict.fromkeys(name for name, _ in right):
        mine = [b for b in budgets if (method, b) in right]
        known = [b for i, b in enumerate(mine) if all(labels[b] > labels[other] for other in mine[:i])]
        if len(known) < 2:
            continue
        few, many = known[-2:]
        both = sorted(right[method, few].keys() & right[method, many].keys())
        if both:
            low, high = (np.stack([right[method, b][repeat] for repeat in both]) for b in (few, many))
            gain = gain_of_doubling(low, high, labels[many] / labels[few], groups=groups)
            found.append(MoreLabels(method, many, labels[few], labels[many], gain))
    return tuple(found)


def gain_of_doubling(
    low: np.ndarray, high: np.ndarray, times: float, *, seed: int = 0, groups: np.ndarray | None = None
) -> Interval:
    """Return the gain in accuracy by twice as many labels, with its interval.

    low, high: what is right with fewer and with `times` as many labels, bool [R,T]. Errors fall roughly as a power of
    the number of labels (Hestness et al. 2017, arXiv:1712.00409), so that of the last step, halved or not, is carried
    on. The interval is a bootstrap of repeats and of images or their groups (Owen 2007); that the power stays the same
    is assumed in it.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    repeats, images = low.shape
    random, found = np.random.default_rng(seed), np.empty(DRAWS)
    units = np.arange(images) if groups is None else groups
    members = [np.flatnonzero(units == unit) for unit in np.unique(units)] if groups is not None else range(images)
    for draw in range(DRAWS):
        r = random.integers(0, repeats, repeats)
        t = random.integers(0, len(members), len(members))
        t = t if groups is None else np.concatenate([members[unit] for unit in t.tolist()])
        found[draw] = _gain(1 - low[r][:, t].mean(), 1 - high[r][:, t].mean(), times, images)
    mean = _gain(1 - low.mean(), 1 - high.mean(), times, images)
    bounds = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, min(mean, float(bounds[0])), max(mean, float(bounds[1])))


def _gain(few: float, many: float, times: float, images: int) -> float:
    """Return the fall of the errors from `many` by doubling; half an image stands for none."""
    few, many = max(few, 0.5 / images), max(many, 0.5 / images)
    pace = min(max(np.log(few / many) / np.log(times), 0.0), STEEPEST)
    return float(many * (1 - 2**-pace))
