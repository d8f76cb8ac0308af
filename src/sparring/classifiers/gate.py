"""The gate: whether generated images help, by held-out labels and against two controls. Pure functions of arrays.

Generated images must beat real images alone, and as many copies of real images (Pink 2026, PMLR 318:954-961: such
copies beat every mix with generated images). Both differences are paired: the same held-out images, an equal number of
steps. Both must be above zero, which needs no correction: each test alone is at its level (Berger 1982,
Technometrics 24:295).

Three weights of the generated images are tried on the first half of the labelled images. The second half sees only the
best of them, so that a gate costs less, and the test is on both halves together. That the best of three was taken is
paid for by Bonferroni's bound: an interval for one of three shares covers 1 - 0.05 / 3. Holm's first step is the same
bound, and its later steps decide nothing here, where one share is enough. A share chosen on one half and tested on the
other alone has half of the labels: its interval is wider, 2.78 standard errors of both halves instead of 2.42.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from .. import keyed_random
from ..stats import LEVEL, Interval, t_quantile
from ..stats.variance import of_class_means, units_of
from ..words import count, percent, points
from .fit_record import Gate, GateTrial
from .selection import groups_at, stratified_folds

SHARES = (0.25, 0.5, 1.0)  # weights of all generated images of a step, beside 1 of the real ones


class Extra(NamedTuple):
    """What a network learns from beside the real images, and the weight of its loss."""

    kind: Literal["nothing", "duplicates", "generated"]
    share: float


NOTHING, DUPLICATES = Extra("nothing", 0.0), Extra("duplicates", 1.0)  # copies are real images, and weigh like them
Right = Mapping[Extra, np.ndarray]  # 1 where a held-out image was classified right, 0 where wrong, NaN where not tried


def halves(labels: np.ndarray, seed: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield the indices of the labelled images in two halves, every class in each; -1 is unlabelled.

    groups [N]: images of equal ones are in the same half; nothing is yielded where that cannot be.
    """
    if groups is not None:
        known = np.flatnonzero(labels >= 0)
        yield from (known[held] for _, held in stratified_folds(labels[known], seed, 2, groups[known]))
        return
    order = keyed_random.order(keyed_random.key(seed, "gate"), len(labels)).numpy()
    half = np.full(len(labels), -1)
    for label in np.unique(labels[labels >= 0]):
        members = order[labels[order] == label]
        half[members] = np.arange(len(members)) % 2
    for number in range(2):
        yield np.flatnonzero(half == number)


def best_share(right: Right, labels: np.ndarray) -> float:
    """Return the share of the highest balanced accuracy on what was tried, the smallest of equal ones.

    right: 0 or 1 [N] of each Extra, for held-out images of classes `labels` [N].
    """
    found = {extra.share: class_mean(values, labels) for extra, values in right.items() if extra.kind == "generated"}
    return max(sorted(found), key=found.__getitem__)


def beats_controls(right: Right, labels: np.ndarray, share: float) -> bool:
    """Return whether generated images at a share have a higher balanced accuracy than both controls, however little.

    Where the first half says no, the second is not tried: this only makes fewer gates pass.
    """
    generated = class_mean(right[Extra("generated", share)], labels)
    return generated > max(class_mean(right[NOTHING], labels), class_mean(right[DUPLICATES], labels))


def gate_of(right: Right, labels: np.ndarray, share: float, groups: np.ndarray | None = None) -> Gate:
    """Return the gate at the chosen share.

    right: [N] of each Extra, NaN where it was not tried; labels and groups [N] of all held-out images. Generated images
    pass only where all were tried, and both intervals are above 0.
    """
    chosen, shares = Extra("generated", share), sum(extra.kind == "generated" for extra in right)
    tried, level = np.isfinite(right[chosen]), 1 - (1 - LEVEL) / shares
    y, (generated, real, copies) = labels[tried], (right[extra][tried] for extra in (chosen, NOTHING, DUPLICATES))
    of = groups_at(groups, tried)
    over_real, over_copies = (paired_interval(generated - control, y, level, of) for control in (real, copies))
    passed = bool(tried.all()) and over_real.low > 0 and over_copies.low > 0
    accuracy = [class_mean(values, y) for values in (real, copies, generated)]
    sentence = (
        f"On {count(len(y))} held-out labelled images{'' if tried.all() else ', half of all'}, balanced accuracy was "
        f"{percent(accuracy[0])} with real images alone, {percent(accuracy[1])} with as many copies of real images and "
        f"{percent(accuracy[2])} with generated images at a share of {share:g}: {_in_points(over_real)} more than "
        f"real images alone and {_in_points(over_copies)} more than copies (intervals of {percent(level)}), so "
        f"generated images were {'used' if passed else 'not used'}."
    )
    without, with_, mean, low, high = (round(value, 5) for value in (accuracy[0], accuracy[2], *over_real))
    over_duplicates = Interval(*(round(value, 5) for value in over_copies))
    trials = tuple(gate_trial(extra, right, labels, groups) for extra in right)
    return Gate(
        passed, without, with_, mean, low, high, sentence, share=share, over_duplicates=over_duplicates, trials=trials
    )


def gate_trial(extra: Extra, right: Right, labels: np.ndarray, groups: np.ndarray | None = None) -> GateTrial:
    """Return what one way of training came to, on those of the images of classes `labels` [N] on which it was tried."""
    tried = np.isfinite(right[extra])
    values, y = right[extra][tried], labels[tried]
    interval = Interval(0.0, 0.0, 0.0)
    if extra != NOTHING:
        interval = paired_interval(values - right[NOTHING][tried], y, groups=groups_at(groups, tried))
    accuracy, mean, low, high = (round(value, 5) for value in (class_mean(values, y), *interval))
    return GateTrial(extra.kind, extra.share, accuracy, mean, low, high, images=len(y))


def _in_points(interval: Interval) -> str:
    mean, low, high = (points(value, 1, signed=True) for value in interval)
    return f"{mean} points ({low} to {high})"


def paired_interval(
    difference: np.ndarray, labels: np.ndarray, level: float = LEVEL, groups: np.ndarray | None = None
) -> Interval:
    """Return the mean of `difference` [N] over the images of a class, then over classes, with its t-interval.

    The variance counts two more images of a class drawn at random, one that only the first network gets right and one
    that only the second does (Bonett & Price 2012): without them 4 images that differ, all in one direction, would
    decide. A class with one image has the variance of all images. groups [N]: of images that are not independent; the
    variance is then that over groups, by the jackknife, where it is larger.
    """
    counts = np.bincount(labels)
    means, overall = np.bincount(labels, difference) / np.maximum(counts, 1), difference.var(ddof=1)
    within = np.bincount(labels, (difference - means[labels]) ** 2)
    there = counts > 0
    counts, means, within = counts[there], means[there], within[there]
    variance = np.where(counts > 1, within / np.maximum(counts - 1, 1), overall)
    of_means, units = (variance / counts).sum() / len(counts) ** 2, units_of(groups, len(labels))
    if groups is not None:
        jackknife, alone = of_class_means(difference, labels, groups)
        of_means = max(of_means, jackknife + len(alone) / len(counts) ** 2)  # of one group nothing is known
    of_mean = of_means + 2 * np.mean(1 / (len(counts) * counts) ** 2)
    half = t_quantile(max(1, units - len(counts)), level) * math.sqrt(of_mean)
    mean = float(means.mean())
    return Interval(mean, mean - half, mean + half)


def class_mean(values: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over classes of the mean value [N] of a class."""
    counts = np.bincount(labels)
    return float((np.bincount(labels, values)[counts > 0] / counts[counts > 0]).mean())
