"""Kernel distance (KID). Binkowski et al. 2018, arXiv:1801.01401, section 4: unbiased at any number of images."""

from typing import NamedTuple

import numpy as np

from .features import chunks, pair


class KernelDistance(NamedTuple):
    distance: float  # 0 on average for two samples of one distribution, so it may come out below 0
    error: float  # standard error


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> KernelDistance:
    """Squared maximum mean discrepancy under k(x, y) = (x.y / F + 1)^3, features [N,F] and [M,F].

    The unbiased estimate of Gretton et al. 2012 (JMLR 13), eq. 3. Its standard error is the jackknife over images of
    both samples (Arvesen 1969 for U-statistics), exact from the row sums of the kernel; for two samples of the same
    distribution it is too large, by up to sqrt(2). Raises DataError.
    """
    real, fake = pair(real, fake, least=3)
    n, m = len(real), len(fake)
    xx, yy = kernel_sums(real, real), kernel_sums(fake, fake)
    xx -= kernel_of(np.square(real).sum(1), real.shape[1])  # not with itself
    yy -= kernel_of(np.square(fake).sum(1), fake.shape[1])
    xy, yx = kernel_sums(real, fake), kernel_sums(fake, real)
    inside_x, inside_y, across = xx.sum(), yy.sum(), xy.sum()
    whole = inside_x / (n * (n - 1)) + inside_y / (m * (m - 1)) - 2 * across / (n * m)
    less_x = (inside_x - 2 * xx) / ((n - 1) * (n - 2)) + inside_y / (m * (m - 1)) - 2 * (across - xy) / ((n - 1) * m)
    less_y = inside_x / (n * (n - 1)) + (inside_y - 2 * yy) / ((m - 1) * (m - 2)) - 2 * (across - yx) / (n * (m - 1))
    variance = (n - 1) * less_x.var() + (m - 1) * less_y.var()
    return KernelDistance(float(whole), float(np.sqrt(variance)))


def kernel_of(products: np.ndarray, width: int) -> np.ndarray:
    return (products / width + 1) ** 3


def kernel_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[len(a)]: the sum of k(a_i, b_j) over j."""
    return np.concatenate([kernel_of(a[rows] @ b.T, a.shape[1]).sum(1) for rows in chunks(len(a))])
