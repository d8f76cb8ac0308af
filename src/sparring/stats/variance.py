"""The variance of a mean over repeats and test images, of which some may be of one group (see `stats`)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CAUTION = 2  # times that the variance between repeats counts in degrees of freedom


class MeanVariance(NamedTuple):
    """The variance of a mean over repeats and test images, and its degrees of freedom (Satterthwaite 1946)."""

    variance: float
    df: float


class Spread(NamedTuple):
    """The terms of the variance of a mean over repeats and test images (see the top of this file)."""

    of_repeats: float  # s_r^2 / R
    of_images: float  # s_t^2 / T
    of_both: float  # s_rt^2 / (R T)
    repeats: int
    images: float  # independent ones (`units_of`)

    def variance(self, of_others: float = 0.0, weight: float = 0.0) -> MeanVariance:
        """Return V, its first term drawn towards `of_others`, which counts as much as `weight` degrees of freedom."""
        own = max(self.repeats - 1, 1)
        first = (own * self.of_repeats + weight * of_others) / (own + weight)
        total = max(first + self.of_images - self.of_both, first, self.of_images)
        told = summed((CAUTION * first, own + weight + 1), (self.of_images, self.images))
        return MeanVariance(total, told.df)


def spread_of(values: np.ndarray, more: Sequence[float] = (), groups: np.ndarray | None = None) -> Spread:
    """Return the spread of values [R,T]; `more`: means of further images, which count in the images' term alone.

    groups: int [T], equal for images of one group; None where each is on its own.
    """
    repeats, images = values.shape
    of_both, units = 0.0, units_of(groups, images)
    if repeats > 1 and units > 1:
        rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        if groups is None:
            of_both = float((rest**2).sum()) / ((repeats - 1) * (images - 1) * repeats * images)
        else:
            of_both = float(_means_without(rest, groups).sum()) / ((repeats - 1) * repeats)
    means = np.concatenate([values.mean(0), more])
    of_repeats = of_mean(values.mean(1))
    if units == 1 and groups is not None:
        return Spread(of_repeats, 1.0, of_both, repeats, units)  # of one group nothing is known about another
    own = groups if groups is None else np.concatenate([groups, groups.max() + 1 + np.arange(len(more))])
    return Spread(of_repeats, of_mean(means, own), of_both, repeats, units)


def units_of(groups: np.ndarray | None, images: int) -> float:
    """Return how many groups of one size tell as much as these [T]: T^2 over the sum of n_g^2 (Kish 1965).

    At least 2 where there are two. Of images on their own as many as there are.
    """
    if groups is None:
        return images
    sizes = np.unique(groups, return_counts=True)[1]
    return max(min(2, len(sizes)), images**2 / float((sizes**2).sum()))


def design_effect(values: np.ndarray, groups: np.ndarray | None) -> float:
    """Return how many times the variance of the mean of values [T] is that of as many independent images (Kish 1965).

    At least 1; as if the images of a group were all alike where the values do not tell.
    """
    if groups is None or not len(values):
        return 1.0
    alone, units = of_mean(values), units_of(groups, len(values))
    return max(1.0, of_mean(values, groups) / alone if alone and units > 1 else len(values) / units)


def _means_without(rest: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the jackknife variance [...] of the mean of residuals [...,T] over groups [T], of which there are several.

    (G - 1) / G times the sum over groups of the squared change of the mean where one is left out.
    """
    place, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(place, kind="stable")
    starts = np.cumsum(sizes) - sizes
    change = np.add.reduceat(rest[..., order], starts, axis=-1) / (rest.shape[-1] - sizes)
    return (len(sizes) - 1) / len(sizes) * (change**2).sum(-1)


def summed(*parts: tuple[float, float]) -> MeanVariance:
    """Return the sum of independent variances of means, each given with the number of values that it comes from."""
    variance, noise = sum(v for v, _ in parts), sum(v**2 / max(n - 1, 1) for v, n in parts)
    return MeanVariance(variance, variance**2 / noise if noise else math.inf)


def of_mean(values: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Return the variance of the mean of values [n], independent or between groups [n] only; 0 for a single one."""
    if groups is not None:
        return float(_means_without(values - values.mean(), groups)) if units_of(groups, len(values)) > 1 else 0.0
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def of_class_means(values: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, list[int]]:
    """Return the jackknife variance over groups [T] of the mean over classes of the mean value [T] of a class.

    And the classes of a single group, which add nothing to it.
    """
    place = np.unique(groups, return_inverse=True)[1]
    units, there = int(place.max()) + 1, np.unique(labels).tolist()
    change, alone = np.zeros(units), []
    for k in there:
        mine = labels == k
        sizes = np.bincount(place[mine], minlength=units)
        sums = np.bincount(place[mine], values[mine] - values[mine].mean(), minlength=units)
        if (sizes == mine.sum()).any():
            alone.append(k)
        else:
            change += sums / (mine.sum() - sizes) / len(there)
    return (units - 1) / units * float((change**2).sum()), alone
