"""How unlike all that a classifier learned from is an image? Pure functions of feature arrays.

Two things are added up, each in units of its deviation over held-out images of the classes:

- the mean distance to the NEIGHBOURS nearest labelled images (Sun et al. 2022, arXiv:2204.06507);
- how little any class is supported: less the largest logit of a logistic regression on the same features (Hendrycks et
  al. 2022, arXiv:1911.11132).

The distance notices what looks like nothing it learned from, the logits what is between the classes or beside them.
What is unlike is decided by rank among the held-out images: a conformal p-value (Bates et al. 2023,
doi:10.1214/22-AOS2244). Distances in principal components whose covariance inside the classes is white were better by
one or two points with a hundred labels a class, and useless with three (benchmarks/results/doubt.md).
"""

from typing import NamedTuple

import numpy as np

from ..regression import regression
from ..selection import Folds
from .conformal import unit_weights

REFUSED = 0.05  # of the images of the classes that are called unlike, at most, on average
NEIGHBOURS = 5
STRENGTH = 10.0  # inverse penalty of the regression, on features of length 1
TOLERANCE = 1e-3  # gradient at which it ends
AT_ONCE = 1024  # images
MOST_COMPARED = 2000  # labelled images that others are compared with
OTHERS = frozenset("other others none nothing unknown rest background".split()) | {"none of these", "something else"}


class Reference(NamedTuple):
    """What images are compared with: features of labelled ones float32 [M,F], and the regression [F,K], [K]."""

    points: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    @staticmethod
    def of(x: np.ndarray, labels: np.ndarray) -> "Reference":
        """Return what new images are compared with, of features [M,F] and labels [M] from 0 to K - 1, K > 1."""
        return Reference(x, *regression(x, labels, STRENGTH, tolerance=TOLERANCE))

    def parts(self, x: np.ndarray) -> np.ndarray:
        """Return float64 [2,N] of features [N,F]: the distance to the nearest images, and less the largest logit."""
        logits = x @ self.weights + self.offset
        return np.stack([mean_distances(x, self.points, NEIGHBOURS), -logits.max(1).astype(np.float64)])


class Unlikeness(NamedTuple):
    """What is `known`; mean and deviation [2,2] of `parts` of held-out images; their sums [n] in ascending order, and
    the weight of each, which is 1 where it is of no group."""

    known: Reference
    usual: np.ndarray
    held_out: np.ndarray
    weights: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return how unlike images with features [N,F] are, float64 [N]: about 0 is usual."""
        return _sums(self.known.parts(x), self.usual)

    def typical(self, x: np.ndarray) -> np.ndarray:
        """Return the share of images of the classes that are at least as unlike, float64 [N]: a p-value."""
        above = np.append(np.cumsum(self.weights[::-1])[::-1], 0.0)
        return (1 + above[np.searchsorted(self.held_out, self.scores(x), side="left")]) / (1 + above[0])


def learn_unlikeness(x: np.ndarray, labels: np.ndarray, folds: Folds, groups: np.ndarray | None = None) -> Unlikeness:
    """Return what tells images that are unlike those with features [n,F] and labels int64 [n] from 0 to K - 1, K > 1.

    folds: (train, held out) indices, each image held out once; what is not independent, on one side. groups [n]: each
    has the same weight.
    """
    parts = np.empty((2, len(x)))
    for train, held in folds:
        parts[:, held] = Reference.of(x[train], labels[train]).parts(x[held])
    usual = np.stack([parts.mean(1), np.maximum(parts.std(1), 1e-9)])
    sums = _sums(parts, usual)
    order = np.argsort(sums, kind="stable")
    return Unlikeness(Reference.of(x, labels), usual, sums[order], unit_weights(groups, len(x))[order])


def mean_distances(x: np.ndarray, points: np.ndarray, k: int) -> np.ndarray:
    """Return the mean distance of each of N images to the k nearest of M points, float64 [N]; features float32 [.,F].

    Of fewer than k points, to all.
    """
    k = min(k, len(points))
    found, lengths = np.empty(len(x)), np.square(points).sum(1)
    for start in range(0, len(x), AT_ONCE):
        some = x[start : start + AT_ONCE]
        squared = np.square(some).sum(1)[:, None] + lengths - 2 * some @ points.T
        nearest = np.partition(squared, k - 1, axis=1)[:, :k]
        found[start : start + AT_ONCE] = np.sqrt(np.maximum(nearest, 0)).mean(1)
    return found


def _sums(parts: np.ndarray, usual: np.ndarray) -> np.ndarray:
    return ((parts - usual[0][:, None]) / usual[1][:, None]).sum(0)


def is_other(name: str) -> bool:
    """Return whether a class is "none of the others" by its name: what is like its images is like no class."""
    return name.strip().lower().replace("_", " ").replace("-", " ") in OTHERS
