"""Kernel distance (KID). Binkowski et al. 2018, arXiv:1801.01401, section 4: unbiased at any number of images."""

from dataclasses import dataclass

import numpy as np
import torch

from .estimate import Estimate
from .features import doubles, pair


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> Estimate:
    """Squared maximum mean discrepancy under k(x, y) = (x.y / F + 1)^3, features [N,F] and [M,F].

    The unbiased estimate of Gretton et al. 2012 (JMLR 13), eq. 3, of all pairs in one pass: 0 on average for two
    samples of one distribution, so it may come out below 0. The influences are the jackknife's (Arvesen 1969 for
    U-statistics), exact from the row sums of the kernel. The jackknife counts twice what only pairs of images bring to
    the variance, which is all of it where both samples have one distribution; that part is known from the squares of
    the kernel less its row and column means (Hoeffding's decomposition), and the influences shrink accordingly (ours).
    Raises DataError.
    """
    real, fake = pair(real, fake, least=3)
    n, m = len(real), len(fake)
    xx, yy, xy = Sums.within(real), Sums.within(fake), Sums.across(real, fake)
    across = xy.rows.sum() / (n * m)
    inside_x, inside_y = xx.rows.sum() / (n * (n - 1)), yy.rows.sum() / (m * (m - 1))
    value = inside_x + inside_y - 2 * across
    # (n - 1)(value - the value without image i)
    of_real = 2 * (n - 1) / (n - 2) * (xx.rows / (n - 1) - inside_x) - 2 * (xy.rows / m - across)
    of_fake = 2 * (m - 1) / (m - 2) * (yy.rows / (m - 1) - inside_y) - 2 * (xy.columns / n - across)
    variance = Estimate(value, of_real, of_fake).error ** 2
    of_pairs = 2 * xx.interaction() / (n * (n - 1)) + 2 * yy.interaction() / (m * (m - 1))
    of_pairs += 4 * xy.interaction() / (n * m)
    shrunk = np.sqrt(max(1 - of_pairs / variance, 0.5)) if variance > 0 else 1.0
    return Estimate(float(value), of_real * shrunk, of_fake * shrunk)


def kernel_of(products: torch.Tensor, width: int) -> torch.Tensor:
    """(x.y / F + 1)^3, in the place of the products x.y."""
    products.div_(width).add_(1)
    return products.mul_(products.square())


@dataclass(eq=False)
class Sums:
    """Of the kernel between n images and m, or within n without the diagonal."""

    rows: np.ndarray  # [n]
    columns: np.ndarray  # [m]
    diagonal: bool = True
    square: float = 0.0  # of all entries

    def add(self, rows: slice, columns: slice, kernel: torch.Tensor) -> None:
        self.rows[rows] += kernel.sum(1).numpy()
        self.columns[columns] += kernel.sum(0).numpy()
        self.square += float(torch.linalg.vector_norm(kernel)) ** 2

    @classmethod
    def across(cls, a: np.ndarray, b: np.ndarray) -> "Sums":
        sums = cls(np.zeros(len(a)), np.zeros(len(b)))
        for rows, x in doubles(a):
            for columns, y in doubles(b):
                sums.add(rows, columns, kernel_of(x @ y.T, a.shape[1]))
        return sums

    @classmethod
    def within(cls, a: np.ndarray) -> "Sums":
        """The kernel is symmetric: half of it is computed, and added to both sides."""
        total = np.zeros(len(a))
        sums = cls(total, total, diagonal=False)
        for rows, x in doubles(a):
            own = kernel_of(x @ x.T, a.shape[1]).fill_diagonal_(0)
            total[rows] += own.sum(1).numpy()
            sums.square += float(torch.linalg.vector_norm(own)) ** 2
            for columns, y in doubles(a[: rows.start]):
                kernel = kernel_of(x @ y.T, a.shape[1])
                sums.add(rows, columns, kernel)
                sums.square += float(torch.linalg.vector_norm(kernel)) ** 2
        return sums

    def interaction(self) -> float:
        """Mean square of the entries less their row and column means plus the mean of all."""
        n, m = len(self.rows), len(self.columns)
        row, column = self.rows / (m if self.diagonal else m - 1), self.columns / (n if self.diagonal else n - 1)
        count = n * m if self.diagonal else n * (n - 1)
        mean = self.rows.sum() / count
        found = self.square / count - np.square(row).mean() - np.square(column).mean() + mean**2
        return max(float(found), 0.0)
