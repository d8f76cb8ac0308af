"""Frechet distance of two Gaussians fitted to features (FID). Heusel et al. 2017, arXiv:1706.08500, eq. 6.

It is biased: with few images it comes out too large. Compare only numbers from as many images.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_lapack_funcs, solve_triangular

from ..errors import UsageError
from .estimate import Estimate
from .features import checked, chunks, pair

UNKNOWN = np.full(1, np.nan)  # influences of images that are not at hand: the error is not a number
Means = tuple[np.ndarray, np.ndarray]
PARTS, LEAST = 4, 2  # of the line to infinity: its points, and images of a part over features
ROUNDING = 1e-12  # variances this far below the largest are 0


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean [F] and covariance [F,F] of features; `a + b` are those of both together, for a stream of images."""

    count: int
    mean: np.ndarray
    covariance: np.ndarray  # over count - 1

    @classmethod
    def of(cls, features: np.ndarray) -> "Moments":
        features = checked(features, least=2, what="the")
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
    """|mean - mean'|^2 + tr C + tr C' - 2 tr sqrt(C C'), of features [N,F] or of their moments. Raises DataError.

    With any A of C = A^T A, tr sqrt(C C') is the sum of the square roots s of the eigenvalues of A C' A^T = U s^2 U^T,
    which is symmetric: they are real, and at least 0 but for rounding. A is a triangular root of C, or with fewer
    images than features the centred features themselves, and then no covariance is computed at all.

    The influence of an image at y from its mean is |y|^2 - y^T T y +- 2 (mean - mean') y, less its mean, where T is the
    optimal transport map from its own Gaussian to the other, the derivative of 2 tr sqrt(C C') (Dowson & Landau 1982,
    J. Multivariate Anal. 12; ours for influences). In terms of A: y = A^T a has y^T T y = |sqrt(s) U^T a|^2, and an
    image of the other side |U^T A y / sqrt(s)|^2. The error that follows holds where the distance is well above its
    bias, and is too large where both samples have one distribution. It is not a number without `influences`, which
    take a third of the time, and for moments, which no longer know their images.
    """
    if isinstance(real, np.ndarray) and isinstance(fake, np.ndarray):
        real, fake = pair(real, fake)
        if len(fake) <= min(len(real) - 1, real.shape[1]):  # the side with fewer images gives the factor
            turned = of_features(fake, real, influences)
            return Estimate(turned.value, turned.fake, turned.real)
        return of_features(real, fake, influences)
    a = real if isinstance(real, Moments) else Moments.of(real)
    b = fake if isinstance(fake, Moments) else Moments.of(fake)
    s, _ = roots(factor(a.covariance).between(b.covariance), vectors=False)
    return Estimate(distance(a.mean - b.mean, np.trace(a.covariance) + np.trace(b.covariance), s), UNKNOWN, UNKNOWN)


def of_features(real: np.ndarray, fake: np.ndarray, influences: bool) -> Estimate:
    means = real.mean(0, dtype=np.float64), fake.mean(0, dtype=np.float64)
    root, product, traces = (by_rows if len(real) <= real.shape[1] else by_moments)(real, fake, means)
    s, vectors = roots(product, vectors=influences)
    apart = means[0] - means[1]
    value = distance(apart, traces, s)
    if not influences:
        return Estimate(value, UNKNOWN, UNKNOWN)
    totals = [(len(x) - 1) * s.sum() for x in (real, fake)]
    of_real = root.own(real, means[0], vectors * np.sqrt(s), totals[0])
    of_fake = squared_products(fake, means[1], root.matrix.T @ (vectors * inverse_root(s)), totals[1])
    return Estimate(value, moved(real, means[0], of_real, apart), moved(fake, means[1], of_fake, -apart))


def by_moments(real: np.ndarray, fake: np.ndarray, means: Means) -> tuple["Root", np.ndarray, float]:
    """A root A of the first covariance C = A^T A, A C' A^T, and tr C + tr C'."""
    a, b = Moments.of(real).covariance, Moments.of(fake).covariance
    root = factor(a)
    return root, root.between(b), float(np.trace(a) + np.trace(b))


def by_rows(real: np.ndarray, fake: np.ndarray, means: Means) -> tuple["Rows", np.ndarray, float]:
    """The same without covariances."""
    root = Rows((real - means[0]) / np.sqrt(len(real) - 1))
    product, squares = np.zeros((len(real), len(real))), 0.0
    for _, y in centred(fake, means[1]):
        projected = root.matrix @ y.T
        product += projected @ projected.T / (len(fake) - 1)
        squares += np.vdot(y, y)
    return root, product, float(np.vdot(root.matrix, root.matrix) + squares / (len(fake) - 1))


def moved(features: np.ndarray, mean: np.ndarray, kept: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Influences [N]: |y|^2 - y^T T y + 2 apart y, less their mean; `kept` is y^T T y."""
    found = np.empty(len(features))
    for rows, y in centred(features, mean):
        squares = np.square(y).sum(1) - kept[rows]
        found[rows] = squares * (len(features) / (len(features) - 1)) + 2 * y @ apart
    return found - found.mean()


def squared_products(features: np.ndarray, mean: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
    """[N]: |weights^T y|^2 of each image. In float32 where they add up to what they must, `total`, else in float64."""
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
    """(rows, float64 [rows,F] less the mean) in turn."""
    return ((rows, features[rows] - mean) for rows in chunks(len(features), 4096))


def roots(product: np.ndarray, *, vectors: bool) -> tuple[np.ndarray, np.ndarray]:
    """Square roots of the eigenvalues of a positive semi-definite matrix; those below 0 are rounding."""
    values, found = np.linalg.eigh(product) if vectors else (np.linalg.eigvalsh(product), product)
    return np.sqrt(np.maximum(values, 0)), found


def inverse_root(s: np.ndarray) -> np.ndarray:
    """1 / sqrt(s); 0 for those that are 0 but for rounding."""
    known = s > np.sqrt(ROUNDING) * s.max(initial=0)
    return np.divide(1, np.sqrt(s), out=np.zeros_like(s), where=known)


# A root of a covariance C = A^T A, `matrix` A [R,F].


@dataclass(frozen=True, eq=False)
class Rows:
    """The centred features over sqrt(N - 1)."""

    matrix: np.ndarray

    def own(self, features: np.ndarray, mean: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
        """[N]: |weights^T a|^2 of each image y = A^T a."""
        return (len(self.matrix) - 1) * np.square(weights).sum(1)


@dataclass(frozen=True, eq=False)
class Root:
    """Of a covariance itself: triangular, or eigenvectors by the roots of their eigenvalues, and then `back` [F,R]
    finds a = back^T y of y = A^T a."""

    matrix: np.ndarray
    back: np.ndarray | None = None

    def own(self, features: np.ndarray, mean: np.ndarray, weights: np.ndarray, total: float) -> np.ndarray:
        """[N]: |weights^T a|^2 of each image y = A^T a."""
        found = solve_triangular(self.matrix, weights) if self.back is None else self.back @ weights
        return squared_products(features, mean, found, total)

    def between(self, covariance: np.ndarray) -> np.ndarray:
        """A C' A^T; of a triangular A with half of the work, and only the lower triangle, which `eigh` reads."""
        if self.back is not None:
            return self.matrix @ covariance @ self.matrix.T
        (sygst,) = get_lapack_funcs(("sygst",), dtype=np.float64)
        found, _ = sygst(covariance, self.matrix.T, itype=2, lower=1)
        return found


def factor(covariance: np.ndarray) -> Root:
    """By Cholesky, or, where the covariance is nearly singular, from the eigenvectors of what varies at all."""
    (potrf,) = get_lapack_funcs(("potrf",), dtype=np.float64)
    lower, failed = potrf(covariance, lower=1, clean=1)
    pivots = np.square(np.diagonal(lower))
    if not failed and pivots.min() > ROUNDING * pivots.max():
        return Root(lower.T)
    values, vectors = np.linalg.eigh(covariance)
    some = values > ROUNDING * values.max(initial=0)
    scale = np.sqrt(values[some])
    return Root((vectors[:, some] * scale).T, vectors[:, some] / scale)


def frechet_at_infinity(
    real: np.ndarray, fake: np.ndarray, *, parts: int = PARTS, least: int = LEAST, seed: int = 0
) -> Estimate:
    """The Frechet distance at infinitely many images, where its bias is gone. Chong & Forsyth 2020, arXiv:1911.07023.

    The bias falls about as 1/N, so a straight line through distances at several N, extended to 1/N = 0, ends at it.
    Here both sides are divided at random into 1, 2, .. `parts` disjoint parts, all of which are scored: every image
    counts once at every N, which leaves less noise than random subsets (ours), and lets the influences of the whole
    stand for the line. A part needs `least` times as many images as features, or the line bends: UsageError. Raises
    DataError.
    """
    real, fake = pair(real, fake)
    few, width = min(len(real), len(fake)), real.shape[1]
    if parts < 2 or few // parts < least * width:
        raise UsageError(
            "frechet-parts",
            f"{parts} parts of {few} images are too few for {width} features",
            fix=f"pass {max(parts, 2) * least * width:,} images of each kind or more, or fewer parts (2 at least)",
        )
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
