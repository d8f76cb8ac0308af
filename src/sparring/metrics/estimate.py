"""A score with its standard error, from the influence of each image on it.

The influence of an image is the derivative of the score by the weight of that image, times the number of images. The
influences of a random sample have mean 0, and their variance over the number of images is the variance of the score:
the infinitesimal jackknife (Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6). One set of
numbers thus gives the error of a score, and of a difference of two.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import UsageError

NORMAL_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value, and the influences of real images, float64 [N], and of fakes, [M], each of mean 0.

    They are empty where such images play no part, or are not a sample.
    """

    value: float
    real: np.ndarray = field(default_factory=lambda: np.zeros(0))
    fake: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def error(self) -> float:
        """The standard error: the value's standard deviation over new samples of the same sizes. NaN for one image."""
        return float(np.sqrt(variance_of_mean(self.real) + variance_of_mean(self.fake)))

    @property
    def interval(self) -> tuple[float, float]:
        """The interval at 95 %, by the normal distribution."""
        return self.value - NORMAL_95 * self.error, self.value + NORMAL_95 * self.error

    def __repr__(self) -> str:
        return f"Estimate({self.value:.6g} +- {self.error:.2g}, {len(self.real)} real, {len(self.fake)} fake)"


def variance_of_mean(influences: np.ndarray) -> float:
    """Return the variance of the mean of influences [N]; 0 of none, NaN of one."""
    if len(influences) == 1:
        return float("nan")
    return float(influences.var(ddof=1) / len(influences)) if len(influences) else 0.0


def difference(a: Estimate, b: Estimate) -> Estimate:
    """Return a - b: the same score of two generators against the same real images, in the same order.

    The influences of real images are subtracted image by image, so what they do to both cancels. The fakes are two
    samples, of m and m' images: influences of the first are scaled by (m + m') / m, so that the error of all is right.
    Raises UsageError where the numbers of real images differ.
    """
    if len(a.real) != len(b.real):
        what = f"scores against {len(a.real)} and {len(b.real)} real images"
        raise UsageError("estimate-real", what, fix="compare scores against the same real images")
    count = len(a.fake) + len(b.fake)
    fake = [s * (x - x.mean()) * (count / len(x)) for s, x in ((1, a.fake), (-1, b.fake)) if len(x)]
    return Estimate(a.value - b.value, a.real - b.real, np.concatenate([*fake, np.zeros(0)]))


def of_counts(changes: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return influences [N] on a share of another sample, from how many of its images are in or out by image i alone.

    changes: those numbers with their signs, [N]; changed: without, [N].
    """
    # With few such images the raw counts hold the other sample's own variance, sum |c|, once more: its influences have
    # it already. So they are scaled by sqrt(1 - sum |c| / sum (c - mean)^2) (ours).
    centred = changes - changes.mean()
    whole = np.square(centred).sum()
    return centred * np.sqrt(max(1 - changed.sum() / whole, 0.0)) if whole else centred
