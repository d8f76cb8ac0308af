"""Before labels are spent: which differences a study of so many images can find, and how many images are enough.

Two methods are thought of as in a probit model with crossed random effects. A method names a test image correctly
where a latent value is above 0. Its variance has these parts: how hard the image is for every method (HARD) and for
this one (OWN), how good the label draw of the repeat is for every method (DRAW) and for this one (OWN_DRAW), and
chance. From it follow the moments of what `stats.paired_test` computes, and from them its power.

The parts are near those of `logistic`, `svm`, `spreading` and `probe` on 8x8 digits, and of `logistic` and `spreading`
on MNIST, with 5 and 20 labels a class. There two methods disagreed on 0.3 to 0.9 times as many images as with
independent errors (median 0.7), 0.05 to 0.45 of the variance of their difference stayed with the image (0.32), and
label draws moved the difference by 0 to 3.5 points (standard deviation; 1.0). Here it is 0.7 to 0.8, 0.3 to 0.35, and
0.8 to 2.7.

Where images come in groups (patients, slides, animals), how hard an image is, for every method and for one, is partly a
matter of its group (IN_GROUP). So the images of a group agree in what a method gets right: by an intra-group
correlation of 0.13 at 80 % right, 0.10 at 90 %. Nothing that is known before labels says how much it is with your
images. With 0 they tell as much as images on their own, with 1 each group as much as one image.
"""

import math
from dataclasses import dataclass

import numpy as np

from .. import stats
from ..data import ImageSet
from ..data.groups import components
from ..errors import UsageError

HARD, OWN, DRAW, OWN_DRAW = 0.45, 0.3, 0.02, 0.003  # parts of the latent variance; the rest is chance
IN_GROUP = 1 / 3  # of HARD and OWN, that the images of a group share
POWER = 0.8  # probability of finding a difference
ACCURACIES = (0.7, 0.8, 0.9, 0.95)
HALF_WIDTHS = (0.05, 0.03, 0.02)
REPEATS = 6
TEST = 0.2  # share of the labelled images that test


# Which differences can be found.


@dataclass(frozen=True)
class DifferenceMoments:
    """Of the difference of two accuracies: its variance, what the test takes it for, and that value's freedom."""

    variance: float
    told: stats.MeanVariance


def covariance(a: float, b: float, correlation: float) -> float:
    """Return the covariance of two events of probabilities a and b whose normal latent values correlate.

    The integral of the bivariate normal density over the correlation (Plackett 1954), by Gauss and Legendre.
    """
    from scipy import special

    h, k = special.ndtri(a), special.ndtri(b)
    places, weights = np.polynomial.legendre.leggauss(40)
    r = correlation * (places + 1) / 2
    density = np.exp(-(h * h - 2 * r * h * k + k * k) / (2 * (1 - r * r))) / (2 * math.pi * np.sqrt(1 - r * r))
    return float(weights @ density) * correlation / 2


def difference_moments(a: float, b: float, *, repeats: int, images: int, together: float = 1.0) -> DifferenceMoments:
    """Return the moments of the difference of two methods of these accuracies, in a study of such a size.

    together: images of a group, in the mean over images: the sum of n_g^2 over that of n_g; 1 where each is on its own.
    """

    def part(same: float, other: float) -> float:
        """Of two differences whose latent values share `same` within a method and `other` between both."""
        return covariance(a, a, same) + covariance(b, b, same) - 2 * covariance(a, b, other)

    once = a * (1 - a) + b * (1 - b) - 2 * covariance(a, b, HARD + DRAW)  # one image in one repeat
    image, draw = part(HARD + OWN, HARD), part(DRAW + OWN_DRAW, DRAW)
    hard, own, others = HARD * IN_GROUP, OWN * IN_GROUP, together - 1
    group = part(hard + own, hard)  # two images of a group, in two repeats and in one
    both = part(hard + own + DRAW + OWN_DRAW, hard + DRAW)
    # The same of an image with the others of its group, and less what all images share in a repeat.
    once, image = once + others * both, image + others * group
    variance = (once + (repeats - 1) * image + (images - together) * draw) / (repeats * images)
    of_repeats = (once - image + (images - together) * draw) / images
    of_images = (once + (repeats - 1) * image - together * draw) / repeats
    # Two more images, as the test adds them, each a group of its own.
    more = ((images - 1) * of_images + 2 + 2 * images * (a - b) ** 2 / (images + 2)) / (images + 1)
    of_both = (once - image - together * draw) / (repeats * images) if repeats > 1 else 0.0
    first = of_repeats / repeats if repeats > 1 else 0.0
    spread = stats.Spread(first, more / (images + 2), of_both, repeats, images / together)
    return DifferenceMoments(variance, spread.variance())


def power(accuracy: float, difference: float, *, repeats: int, images: int, together: float = 1.0) -> float:
    """Return how probably the better of two methods is called better, at this mean accuracy and true difference.

    By a noncentral t. In simulations it is right up to two points, and up to five too low where accuracies are near 1.
    """
    from scipy import special

    ends = accuracy + difference / 2, accuracy - difference / 2
    found = difference_moments(*ends, repeats=repeats, images=images, together=together)
    error, told = math.sqrt(found.variance), found.told
    bound = stats.t_quantile(told.df) * math.sqrt(told.variance) / error
    return 1 - float(special.nctdtr(told.df, difference / error, bound))


def detectable(accuracy: float, *, repeats: int, images: int, together: float = 1.0) -> float | None:
    """Return the smallest difference that is found with probability POWER; None where not even the largest is.

    Raises UsageError for an accuracy outside (0, 1).
    """
    if not 0 < accuracy < 1:
        raise UsageError("accuracy", f"accuracy {accuracy!r}", fix="give a number between 0 and 1, such as 0.9")
    size = {"repeats": repeats, "images": images, "together": together}
    low, high = 0.0, 2 * min(accuracy, 1 - accuracy) - 1e-6
    if repeats < stats.ENOUGH or images < 2 * together or power(accuracy, high, **size) < POWER:
        return None
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if power(accuracy, middle, **size) >= POWER else (middle, high)
    return high


def disagreement(accuracy: float) -> float:
    """Return on which share of the test images only one of two equally good methods is right."""
    return 2 * (accuracy * (1 - accuracy) - covariance(accuracy, accuracy, HARD + DRAW))


# How many images are enough.


def correlation(accuracy: float) -> float:
    """Return how much what a method gets right is assumed to correlate between two images of a group."""
    return covariance(accuracy, accuracy, (HARD + OWN) * IN_GROUP) / (accuracy * (1 - accuracy))


def images_needed(share: float, half_width: float = 0.05, *, together: float = 1.0) -> int:
    """Return how many test images of a class give an interval of +-half_width around its recall (Wilson's).

    together: as `difference_moments` takes it. Then they count as fewer by the design effect (Kish 1965), and the
    interval is one of t for the effective number of groups, as that of a study is.
    """
    low, high = math.ceil(2 * together) if together > 1 else 1, 1 << 20
    effect = 1 + (together - 1) * correlation(share) if together > 1 else 1.0
    while low < high:
        middle = (low + high) // 2
        z = stats.t_quantile(middle / together - 1) if together > 1 else None
        interval = stats.wilson(share * middle / effect, middle / effect, z=z)
        low, high = (low, middle) if (interval.high - interval.low) / 2 <= half_width else (middle + 1, high)
    return low


# The plan of a study.


@dataclass(frozen=True)
class Findable:
    """The smallest difference of two methods that is found, at an accuracy; None where none is.

    `disagree`: on which share of the test images only one of them is right, where both are equally good.
    """

    accuracy: float
    disagree: float
    difference: float | None


@dataclass(frozen=True)
class GroupSizes:
    """How many groups images are of, how many images one has, and what a plan assumes of them.

    `images`: the mean over groups; `together`: the mean over images, which large groups raise. `correlation`: of what a
    method gets right, between two images of a group, where it gets 80 % right.
    """

    groups: int
    images: float
    together: float
    correlation: float

    @classmethod
    def of(cls, groups: np.ndarray) -> "GroupSizes":
        """Return the sizes of groups [n], of one image or more."""
        sizes = np.unique(groups, return_counts=True)[1]
        together = float((sizes**2).sum() / sizes.sum())
        return cls(len(sizes), round(float(sizes.mean()), 2), round(together, 2), round(correlation(0.8), 3))


@dataclass(frozen=True)
class TestPart:
    """A test part: whether it takes labels that are still to be given, labels in all, test images, what they find.

    `groups`: of how many groups the images are; None where they have none.
    """

    all_labelled: bool
    labels: int
    images: int
    findable: tuple[Findable, ...]
    groups: int | None = None

    @classmethod
    def of(
        cls,
        all_labelled: bool,
        labelled: np.ndarray,
        images: int,
        sizes: GroupSizes | None,
        share: float | None,
        repeats: int,
    ) -> "TestPart":
        """Return the test part of `images` of those that are `labelled`, bool [N].

        sizes: of the groups that may be tested on, of which it is a share; None for a part of its own, which is all.
        """
        together = 1.0 if sizes is None else sizes.together
        found = tuple(findable(p, repeats=repeats, images=images, together=together) for p in ACCURACIES)
        groups = None if sizes is None else sizes.groups if share is None else max(1, round(share * sizes.groups))
        return cls(all_labelled, int(labelled.sum()), images, found, groups)


@dataclass(frozen=True)
class Needed:
    """Test images and labels that an interval of +-half_width needs at an accuracy.

    `images` for the accuracy over all classes, and for the recall of one class; `labels` in all. For every class:
    `images_every`, `labels_every`; None where the number of classes is not known. `groups`: that the test images for
    the accuracy are of; None where images have none.
    """

    half_width: float
    accuracy: float
    images: int
    labels: int
    images_every: int | None
    labels_every: int | None
    groups: int | None = None


@dataclass(frozen=True)
class StudyPlan:
    """What a study of these images could find, and what more would take. `test_share` is None for a part of its own."""

    name: str
    images: int
    labelled: int
    classes: int
    repeats: int
    power: float
    test_share: float | None
    parts: tuple[TestPart, ...]
    needed: tuple[Needed, ...]
    groups: GroupSizes | None = None


def plan_study(imageset: ImageSet, *, test: float = TEST, repeats: int = REPEATS) -> StudyPlan:
    """Return what can be known of a study before labels are given: from the number of images and of classes alone.

    Two methods alone are compared there, at the largest label budget. Intervals are about the choice of test images,
    or of groups; label draws add to them. Nothing of the pixels or of the kind of images goes in.
    """
    classes, labelled = len(imageset.classes), imageset.labelled
    group = None if imageset.groups is None else components(imageset.groups)
    own = next((part for part in ("test", "val") if part in imageset.parts[labelled]), None)
    tested = imageset.parts == own if own else np.ones(len(imageset), bool)
    if own and group is not None:  # as a study leaves out what has images of its group in training
        tested &= ~np.isin(group, group[~tested])
    if own:
        now, later = int((labelled & tested).sum()), int(tested.sum())
    else:
        counts = np.bincount(imageset.labels[labelled], minlength=classes).tolist()
        now, later = sum(min(max(1, round(test * n)), n - 1) for n in counts if n), round(test * len(imageset))
    sizes = [(False, labelled, now)] if classes > 1 and now else []
    if not labelled.all() and later > now:
        sizes.append((True, np.ones(len(imageset), bool), later))
    every = None if group is None else GroupSizes.of(group[labelled] if labelled.any() else group)
    share = None if own else test
    return StudyPlan(
        name=imageset.name,
        images=len(imageset),
        labelled=int(labelled.sum()),
        classes=classes,
        repeats=repeats,
        power=POWER,
        test_share=share,
        parts=tuple(
            TestPart.of(*each, None if group is None else GroupSizes.of(group[each[1] & tested]), share, repeats)
            for each in sizes
        ),
        needed=tuple(needed(p, half, classes=classes, test=test, groups=every)
                     for half in HALF_WIDTHS for p in ACCURACIES),
        groups=every,
    )  # fmt: skip


def findable(accuracy: float, *, repeats: int, images: int, together: float = 1.0) -> Findable:
    """Return what is found at an accuracy."""
    found = detectable(accuracy, repeats=repeats, images=images, together=together)
    return Findable(accuracy, round(disagreement(accuracy), 3), None if found is None else round(found, 4))


def needed(
    accuracy: float, half_width: float, *, classes: int, test: float, groups: GroupSizes | None = None
) -> Needed:
    """Return what an interval needs, where `test` of the labels are for the test, and images come in such groups."""
    images = images_needed(accuracy, half_width, together=1.0 if groups is None else groups.together)
    labels, every = math.ceil(images / test - 1e-9), images * classes or None
    of = None if groups is None else math.ceil(images / groups.images)
    return Needed(half_width, accuracy, images, labels, every, labels * classes or None, of)
