"""A score with its doubt: the value, and how much each image moves it.

The influence of an image on a score is how far the score would move, times the number of images, if a little weight
were put on that image. The influences of a random sample have the mean 0, and their variance over the number of images
is the variance of the score: the infinitesimal jackknife (Efron 1982, The Jackknife, the Bootstrap and Other Resampling
Plans, chapter 6). So one set of numbers gives the error of a score, and of a difference of two.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import UsageError

NORMAL_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


def nobody() -> np.ndarray:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Estimate:
    """`value`, and the influence of each real image, float64 [N], and of each fake, [M]: of mean 0, and empty where
    such images play no part or are given, not drawn."""

    value: float
    real: np.ndarray = field(default_factory=nobody)
    fake: np.ndarray = field(default_factory=nobody)

    @property
    def error(self) -> float:
        """Standard error: the value's standard deviation over new samples of as many images. Not a number for one."""
        return float(np.sqrt(variance_of_mean(self.real) + variance_of_mean(self.fake)))

    @property
    def interval(self) -> tuple[float, float]:
        """At 95 %, by the normal distribution."""
        return self.value - NORMAL_95 * self.error, self.value + NORMAL_95 * self.error

    def __repr__(self) -> str:
        return f"Estimate({self.value:.6g} +- {self.error:.2g}, {len(self.real)} real, {len(self.fake)} fake)"


def variance_of_mean(influences: np.ndarray) -> float:
    if len(influences) == 1:
        return float("nan")
    return float(influences.var(ddof=1) / len(influences)) if len(influences) else 0.0


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b: the same score of two generators against the same real images, in the same order.

    What real images do to both cancels image by image; the fakes are two samples. Influences of a sample of m among
    m + m' are stretched by (m + m') / m, so that the error is again that of an estimate. Raises UsageError where the
    numbers of real images differ.
    """
    if len(a.real) != len(b.real):
        raise UsageError(
            "estimate-real",
            f"scores against {len(a.real)} and {len(b.real)} real images",
            fix="compare scores against the same real images",
        )
    count = len(a.fake) + len(b.fake)
    fake = [s * (x - x.mean()) * (count / len(x)) for s, x in ((1, a.fake), (-1, b.fake)) if len(x)]
    return Estimate(a.value - b.value, a.real - b.real, np.concatenate([*fake, nobody()]))


def of_counts(changes: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Influences from how many images of another random sample an image decides: `changes` with their signs, `changed`
    without, [N] both.

    Where few are decided, most of the counts' variance is the chance that the other sample's images fell there, which
    that sample's own influences hold already. It is as large as the counts, as the square of a sum over images is the
    sum of the products of two different ones and of the squares; the influences shrink by it (ours).
    """
    centred = changes - changes.mean()
    whole = np.square(centred).sum()
    return centred * np.sqrt(max(1 - changed.sum() / whole, 0.0)) if whole else centred
