"""Frechet distance of two Gaussians fitted to features (FID). Heusel et al. 2017, arXiv:1706.08500, eq. 6.

It is biased: too large with few images. Compare only values from the same number of images.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_lapack_funcs, solve_triangular

from ..errors import UsageError
from .estimate import Estimate
from .features import checked_features, pair, row_chunks

NO_ERROR = np.full(1, np.nan)  # influences that make the error NaN
POINTS_OF_LINE = 4  # of the extrapolation to infinitely many images
IMAGES_PER_FEATURE = 2  # in each part of it, at least
ZERO_VARIANCE = 1e-12  # variances that are smaller than this, over the largest, are 0


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean [F] and covariance [F,F] (over count - 1) of features; `a + b` are those of both sets together."""

    count: int
    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> "Moments":
        features = checked_features(features, least=2, what="the")
        mean = features.mean(0, dtype=np.float64)
        scatter = np.zeros((features.shape[1], features.shape[1]))
        for _, apart in centred(features, mean):
            scatter += apart.T @ apart
        return cls(len(features), mean, scatter / (len(features) - 1))

    def __add__(self, other: "Moments") -> "Moments":
        """Chan, Golub & LeVeque 1979."""
        count, apart = self.count + other.count, other.mean - self.mean
        scatter = self.covariance * (self.count - 1) + other.covariance * (other.count - 1)
        scatter = scatter + np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.mean + apart * other.count / count, scatter / (count - 1))


def frechet_distance(real: np.ndarray | Moments, fake: np.ndarray | Moments, *, influences: bool = True) -> Estimate:
    """Return |mean - mean'|^2 + tr C + tr C' - 2 tr sqrt(C C') of features [N,F] or of their moments. Raises DataError.

    The error is right where the distance is well above its bias; it is too large where both samples have one
    distribution, and NaN for moments and without `influences`, which take a third of the time.
    """
    # Let C = A^T A. Then tr sqrt(C C') is the sum of s, where A C' A^T = U s^2 U^T: a symmetric matrix, so its
    # eigenvalues are real, and at least 0 but for rounding. A is a triangular root of C. With fewer images than
    # features it is the centred features themselves, and no covariance is computed.
    #
    # The influence of an image at y from its mean is |y|^2 - y^T T y +- 2 (mean - mean') y, less the mean of all. T is
    # the optimal transport map from its own Gaussian to the other, the derivative of 2 tr sqrt(C C') (Dowson & Landau
    # 1982, J. Multivariate Anal. 12; ours for influences). With y = A^T a, y^T T y is |sqrt(s) U^T a|^2 for an image of
    # the first side, and |U^T A y / sqrt(s)|^2 for one of the other.
    if isinstance(real, np.ndarray) and isinstance(fake, np.ndarray):
        real, fake = pair(real, fake)
        if len(fake) <= min(len(real) - 1, real.shape[1]):  # the side with fewer images gives the factor
            turned = of_features(fake, real, influences)
            return Estimate(turned.value, turned.fake, turned.real)
        return of_features(real, fake, influences)
    a = real if isinstance(real, Moments) else Moments.of(real)
    b = fake if isinstance(fake, Moments) else Moments.of(fake)
    s, _ = roots(factor(a.covariance).between(b.covariance), vectors=False)
    value = distance(a.mean - b.mean, np.trace(a.covariance) + np.trace(b.covariance), s)
    return Estimate(value, NO_ERROR, NO_ERROR)


def of_features(real: np.ndarray, fake: np.ndarray, influences: bool) -> Estimate:
    """Return the distance with the real side's factor: A, then A C' A^T and tr C + tr C'."""
    means = real.mean(0, dtype=np.float64), fake.mean(0, dtype=np.float64)
    root = None
    if len(real) <= real.shape[1]:
        matrix = (real - means[0]) / np.sqrt(len(real) - 1)
        product, squares = np.zeros((len(real), len(real))), 0.0
        for _, y in centred(fake, means[1]):
            projected = matrix @ y.T
            product += projected @ projected.T / (len(fake) - 1)
            squares += np.vdot(y, y)
        traces = float(np.vdot(matrix, matrix) + squares / (len(fake) - 1))
    else:
        a, b = Moments.of(real).covariance, Moments.of(fake).covariance
        root = factor(a)
        matrix, product, traces = root.matrix, root.between(b), float(np.trace(a) + np.trace(b))
    s, vectors = roots(product, vectors=influences)
    apart = means[0] - means[1]
    value = distance(apart, traces, s)
    if not influences:
        return Estimate(value, NO_ERROR, NO_ERROR)
    totals, weights = [(len(x) - 1) * s.sum() for x in (real, fake)], vectors * np.sqrt(s)
    if root is None:
        of_real = (len(real) - 1) * np.square(weights).sum(1)
    else:
        of_real = squared_products(real, means[0], root.solved(weights), totals[0])
    # 1 / sqrt(s), and 0 where s is 0 but for rounding
    known = s > np.sqrt(ZERO_VARIANCE) * s.max(initial=0)
    inverse = np.divide(1, np.sqrt(s), out=np.zeros_like(s), where=known)
    of_fake = squared_products(fake, means[1], matrix.T @ (vectors * inverse), totals[1])
    return Estimate(value, moved(real, means[0], of_real, apart), moved(fake, means[1], of_fake, -apart))


def moved(features: np.ndarray, mean: np.ndarray, kept: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return the influences [N] |y|^2 - y^T T y + 2 apart y, less their mean; `kept` is y^T T y."""
    found = np.empty(len(features))
    for rows, y in centred(features, mean):
        squares = np.square(y).sum(1) - kept[rows]
        found[rows] = squares * (len(features) / (len(features) - 1)) + 2 * y @ apart
    return found - found.mean()


def squared_products(features: np.ndarray, mean: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
    """Return |weights^T y|^2 of each image, [N]: in float32 where the sum is `total` as it must be, else in float64."""
    for kind in (np.float32, np.float64):
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = weights.astype(kind)
            parts = [np.square(y.astype(kind) @ narrow).sum(1, dtype=np.float64) for _, y in centred(features, mean)]
        found = np.concatenate(parts)
        if abs(found.sum() - total) <= 1e-4 * total:
            break
    return found


def distance(apart: np.ndarray, traces: float, s: np.ndarray) -> float:
    return float(max(0.0, np.square(apart).sum() + traces - 2 * s.sum()))


def centred(features: np.ndarray, mean: np.ndarray):
    """Return (rows, float64 [rows,F] less the mean) in turn."""
    return ((rows, features[rows] - mean) for rows in row_chunks(len(features), 4096))


def roots(product: np.ndarray, *, vectors: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the square roots of the eigenvalues of a positive semi-definite matrix, and its vectors."""
    values, found = np.linalg.eigh(product) if vectors else (np.linalg.eigvalsh(product), product)
    return np.sqrt(np.maximum(values, 0)), found


@dataclass(frozen=True, eq=False)
class Root:
    """A root of a covariance C = A^T A, `matrix` A [R,F]: a triangular one; or eigenvectors times the roots of their
    eigenvalues, with `back` [F,R]: a = back^T y where y = A^T a."""

    matrix: np.ndarray
    back: np.ndarray | None = None

    def solved(self, weights: np.ndarray) -> np.ndarray:
        """Return w with w^T y = weights^T a, where y = A^T a."""
        return solve_triangular(self.matrix, weights) if self.back is None else self.back @ weights

    def between(self, covariance: np.ndarray) -> np.ndarray:
        """Return A C' A^T. Of a triangular A only the lower triangle is computed, which is all that `eigh` reads."""
        if self.back is not None:
            return self.matrix @ covariance @ self.matrix.T
        (sygst,) = get_lapack_funcs(("sygst",), dtype=np.float64)
        found, _ = sygst(covariance, self.matrix.T, itype=2, lower=1)
        return found


def factor(covariance: np.ndarray) -> Root:
    """Return a root by Cholesky, or from the eigenvectors that vary at all where the covariance is nearly singular."""
    (potrf,) = get_lapack_funcs(("potrf",), dtype=np.float64)
    lower, failed = potrf(covariance, lower=1, clean=1)
    pivots = np.square(np.diagonal(lower))
    if not failed and pivots.min() > ZERO_VARIANCE * pivots.max():
        return Root(lower.T)
    values, vectors = np.linalg.eigh(covariance)
    some = values > ZERO_VARIANCE * values.max(initial=0)
    scale = np.sqrt(values[some])
    return Root((vectors[:, some] * scale).T, vectors[:, some] / scale)


def frechet_at_infinity(
    real: np.ndarray, fake: np.ndarray, *, parts: int = POINTS_OF_LINE, least: int = IMAGES_PER_FEATURE, seed: int = 0
) -> Estimate:
    """Return the Frechet distance extrapolated to infinitely many images. Chong & Forsyth 2020, arXiv:1911.07023.

    The bias falls about as 1/N: the value is where a straight line through distances at several N meets 1/N = 0. The
    influences are those of the distance of all images. Raises UsageError where a part would have fewer images than
    `least` times the features, for there the line bends; and DataError.
    """
    # Both sides are divided at random into 1, 2, .. `parts` disjoint parts, which are all scored. Every image counts
    # once at every N, which leaves less noise than random subsets (ours).
    real, fake = pair(real, fake)
    few, width = min(len(real), len(fake)), real.shape[1]
    if parts < 2 or few // parts < least * width:
        fix = f"pass {max(parts, 2) * least * width:,} images of each kind or more, or fewer parts (2 at least)"
        raise UsageError("frechet-parts", f"{parts} parts of {few} images are too few for {width} features", fix=fix)
    random = np.random.default_rng(seed)
    orders = random.permutation(len(real)), random.permutation(len(fake))
    whole = frechet_distance(real, fake)
    found = [whole.value]
    for count in range(2, parts + 1):
        pieces = zip(*(np.array_split(order, count) for order in orders), strict=True)
        values = [frechet_distance(real[a], fake[b], influences=False).value for a, b in pieces]
        found.append(sum(values) / count)
    _, end = np.polyfit(np.arange(1, parts + 1), found, 1)
    return Estimate(float(end), whole.real, whole.fake)
