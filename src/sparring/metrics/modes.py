"""How many modes of a known distribution did a generator find, and do codes follow the classes?"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..errors import DataError
from .features import checked_features


class Modes(NamedTuple):
    """How many modes have a good sample, which share of samples is good, and KL(good samples || truth) in nats."""

    covered: int
    share: float
    divergence: float


def mode_coverage(
    found: np.ndarray, modes: int, *, good: np.ndarray | None = None, truth: np.ndarray | None = None
) -> Modes:
    """Return how samples cover modes, from the mode of each sample, int [N] from 0.

    Srivastava et al. 2017, arXiv:1705.07761, sections 5.1 and 5.2. `good`: bool [N], which samples count (by default
    all); `truth`: shares of the modes [modes] (by default equal). KL is infinite where samples are in a mode of share
    0, and NaN without good samples. Raises DataError.
    """
    found = np.asarray(found)
    good = np.ones(len(found), bool) if good is None else np.asarray(good, bool)
    if not len(found) or len(good) != len(found) or found.min() < 0 or found.max() >= modes:
        what = f"{len(found)} samples do not lie in {modes} modes"
        raise DataError("modes", what, fix="number the modes from 0, one a sample")
    counts = np.bincount(found[good], minlength=modes)
    return Modes(int((counts > 0).sum()), float(good.mean()), _divergence(counts, truth))


def _divergence(counts: np.ndarray, truth: np.ndarray | None = None) -> float:
    """Return KL(counts || truth) in nats; without `truth`, to equal shares."""
    if not counts.sum():
        return float("nan")
    p = counts / counts.sum()
    q = np.full(len(p), 1 / len(p)) if truth is None else np.asarray(truth, np.float64)
    some = p > 0
    with np.errstate(divide="ignore"):
        return float((p[some] * np.log(p[some] / q[some])).sum())


def gaussian_modes(points: np.ndarray, centres: np.ndarray, deviation: float) -> Modes:
    """Return how points [N,F] cover Gaussians of one standard deviation around centres [modes,F].

    A point belongs to the nearest centre, and is good within 3 deviations of it. Srivastava et al. 2017, section 5.1.
    Raises DataError.
    """
    points, centres = checked_features(points, least=1, what="the"), np.asarray(centres, np.float64)
    apart = np.linalg.norm(points[:, None] - centres, axis=2)
    return mode_coverage(apart.argmin(1), len(centres), good=apart.min(1) <= 3 * deviation)


def purity(codes: np.ndarray, classes: np.ndarray, *, one_to_one: bool = False) -> float:
    """Return the share of images whose class is the one that stands for their code; int [N] both, from 0.

    That is the most frequent class of the code (Manning et al. 2008, Introduction to Information Retrieval, section
    16.3). With `one_to_one` a class stands for one code at most, in the best way (Kuhn 1955). Raises DataError.
    """
    codes, classes = np.asarray(codes), np.asarray(classes)
    if not len(codes) or len(codes) != len(classes) or min(codes.min(), classes.min()) < 0:
        raise DataError("codes", f"{len(codes)} codes, {len(classes)} classes", fix="give one of each an image, from 0")
    table = np.zeros((codes.max() + 1, classes.max() + 1), np.int64)
    np.add.at(table, (codes, classes), 1)
    right = table[linear_sum_assignment(table, maximize=True)].sum() if one_to_one else table.max(1).sum()
    return float(right / len(codes))
