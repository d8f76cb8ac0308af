"""Frechet distance of two Gaussians fitted to features (FID). Heusel et al. 2017, arXiv:1706.08500, eq. 6.

It is biased: with few images it comes out too large. Compare only numbers from as many images.
"""

from dataclasses import dataclass

import numpy as np

from .features import checked, chunks, pair


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean [F] and covariance [F,F] of features; `a + b` are those of both together, for a stream of images."""

    count: int
    mean: np.ndarray
    covariance: np.ndarray  # over count - 1

    @classmethod
    def of(cls, features: np.ndarray) -> "Moments":
        features = checked(features, least=2, what="the")
        mean = features.mean(0)
        scatter = np.zeros((features.shape[1], features.shape[1]))
        for rows in chunks(len(features)):
            apart = features[rows] - mean
            scatter += apart.T @ apart
        return cls(len(features), mean, scatter / (len(features) - 1))

    def __add__(self, other: "Moments") -> "Moments":
        """Chan, Golub & LeVeque 1979."""
        count, apart = self.count + other.count, other.mean - self.mean
        scatter = self.covariance * (self.count - 1) + other.covariance * (other.count - 1)
        scatter = scatter + np.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.mean + apart * other.count / count, scatter / (count - 1))


def frechet_distance(real: np.ndarray | Moments, fake: np.ndarray | Moments) -> float:
    """|mean - mean'|^2 + tr C + tr C' - 2 tr sqrt(C C'), of features [N,F] or of their moments. Raises DataError.

    tr sqrt(C C') is the sum of the square roots of the eigenvalues of sqrt(C) C' sqrt(C), which is symmetric: they
    are real, and at least 0 but for rounding, also where there are fewer images than features.
    """
    if isinstance(real, np.ndarray) and isinstance(fake, np.ndarray):
        real, fake = pair(real, fake)
    a = real if isinstance(real, Moments) else Moments.of(real)
    b = fake if isinstance(fake, Moments) else Moments.of(fake)
    root = square_root(a.covariance)
    eigenvalues = np.linalg.eigvalsh(root @ b.covariance @ root)
    shared = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    apart = np.square(a.mean - b.mean).sum()
    return float(max(0.0, apart + np.trace(a.covariance) + np.trace(b.covariance) - 2 * shared))


def square_root(symmetric: np.ndarray) -> np.ndarray:
    """Of a positive semi-definite matrix; eigenvalues below 0 are rounding."""
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
