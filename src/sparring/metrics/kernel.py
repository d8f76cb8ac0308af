"""Kernel distance (KID). Binkowski et al. 2018, arXiv:1801.01401, section 4: unbiased at any number of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .estimate import Estimate
from .features import doubles, pair

EQUAL_SUMS = 1e-9  # kernel distances of divisions that differ by less, over the mean kernel, are equal
# from products x.y and the width of the features
Kernel = Callable[[torch.Tensor, int], torch.Tensor]


def cubic(products: torch.Tensor, width: int) -> torch.Tensor:
    """Return (x.y / F + 1)^3, computed in the memory of the products x.y."""
    products.div_(width).add_(1)
    return products.mul_(products.square())


def linear(products: torch.Tensor, width: int) -> torch.Tensor:
    """Return x.y / F, computed in the memory of the products x.y."""
    return products.div_(width)


def kernel_distance(real: np.ndarray, fake: np.ndarray, *, kernel: Kernel = cubic) -> Estimate:
    """Return the squared maximum mean discrepancy under k(x, y) = (x.y / F + 1)^3 of features [N,F] and [M,F].

    It is the unbiased estimate of Gretton et al. 2012 (JMLR 13), eq. 3, from all pairs: 0 on average for two samples of
    one distribution, so a value may be below 0. Raises DataError.
    """
    # The influences are the jackknife's (Arvesen 1969 for U-statistics), exact from the row sums of the kernel. The
    # jackknife counts the variance that comes from pairs of images twice; where both samples have one distribution,
    # that is all of it. That part is known from the squares of the kernel less its row and column means (Hoeffding's
    # decomposition), and the influences are scaled accordingly (ours).
    real, fake = pair(real, fake, least=3)
    n, m = len(real), len(fake)
    xx, yy, xy = Sums.of(real, None, kernel), Sums.of(fake, None, kernel), Sums.of(real, fake, kernel)
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


def kernel_test(real: np.ndarray, fake: np.ndarray, *, permutations: int = 200, seed: int = 0) -> float:
    """Return p of "both samples have one distribution", in [1 / (permutations + 1), 1]. Raises DataError.

    It is the share of random divisions of all images, into two samples of the same sizes, whose kernel distance is at
    least as large; the true division counts, too. Exact at any number of images (Gretton et al. 2012, section 5;
    Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9). The kernel is computed once for all divisions, in tiles.
    """
    real, fake = pair(real, fake)
    n, m, random = len(real), len(fake), np.random.default_rng(seed)
    # whether each image is in the first sample of each division
    first = np.zeros((n + m, permutations + 1), np.uint8)
    first[:n, 0] = 1
    for division in range(1, permutations + 1):
        first[random.permutation(n + m)[:n], division] = 1
    inside, sums = division_sums(real, fake, first)
    of_first = sums @ first
    across = of_first - inside
    found = inside / (n * (n - 1)) + (sums.sum() - of_first - across) / (m * (m - 1)) - 2 * across / (n * m)
    near = EQUAL_SUMS * np.abs(sums).sum() / (n + m) ** 2  # divisions of equal images differ by rounding alone
    return float((found >= found[0] - near).mean())


def division_sums(real: np.ndarray, fake: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of the kernel of all images without its diagonal: within the first sample of each division,
    [divisions], and over each row, [N + M]."""
    inside, sums = np.zeros(first.shape[1]), np.zeros(len(first))
    for rows, x in everybody(real, fake):
        mine = torch.from_numpy(first[rows]).double()
        own = cubic(x @ x.T, x.shape[1]).fill_diagonal_(0)
        inside += (mine * (own @ mine)).sum(0).numpy()
        sums[rows] += own.sum(1).numpy()
        for columns, y in everybody(real, fake):
            if columns.start >= rows.start:
                break
            kernel = cubic(x @ y.T, x.shape[1])
            inside += 2 * (mine * (kernel @ torch.from_numpy(first[columns]).double())).sum(0).numpy()
            sums[rows] += kernel.sum(1).numpy()
            sums[columns] += kernel.sum(0).numpy()
    return inside, sums


def everybody(real: np.ndarray, fake: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
    """Return (numbers, float64 rows) in turn, fakes after real images."""
    yield from doubles(real)
    yield from ((slice(r.start + len(real), r.stop + len(real)), x) for r, x in doubles(fake))


@dataclass(eq=False)
class Sums:
    """Sums of the kernel between n images and m: of its rows [n], its columns [m], and the squares of all entries.

    Within one set of n images it has no `diagonal`.
    """

    rows: np.ndarray
    columns: np.ndarray
    diagonal: bool = True
    square: float = 0.0

    @classmethod
    def of(cls, a: np.ndarray, b: np.ndarray | None, kernel: Kernel) -> "Sums":
        """Return the sums of two sets, or within `a`: half of that symmetric kernel is computed, and added twice."""
        total = np.zeros(len(a))
        sums = cls(total, total if b is None else np.zeros(len(b)), diagonal=b is not None)
        for rows, x in doubles(a):
            if b is None:
                own = kernel(x @ x.T, a.shape[1]).fill_diagonal_(0)
                total[rows] += own.sum(1).numpy()
                sums.square += square_of(own)
            for columns, y in doubles(a[: rows.start] if b is None else b):
                part = kernel(x @ y.T, a.shape[1])
                total[rows] += part.sum(1).numpy()
                sums.columns[columns] += part.sum(0).numpy()
                for _ in range(2 if b is None else 1):
                    sums.square += square_of(part)
        return sums

    def interaction(self) -> float:
        """Return the mean square of the entries less their row and column means plus the mean of all."""
        n, m = len(self.rows), len(self.columns)
        row, column = self.rows / (m if self.diagonal else m - 1), self.columns / (n if self.diagonal else n - 1)
        count = n * m if self.diagonal else n * (n - 1)
        mean = self.rows.sum() / count
        found = self.square / count - np.square(row).mean() - np.square(column).mean() + mean**2
        return max(float(found), 0.0)


def square_of(kernel: torch.Tensor) -> float:
    return float(kernel.flatten() @ kernel.flatten())
