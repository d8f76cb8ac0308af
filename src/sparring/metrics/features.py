"""Feature arrays: checks, and pairwise distances a chunk of rows at a time."""

from collections.abc import Iterator

import numpy as np

from ..errors import DataError

CHUNK = 1024  # rows compared with all others at a time


def checked(features: np.ndarray, *, least: int, what: str) -> np.ndarray:
    """float64 [N,F]. Raises DataError for another shape, fewer than `least` rows, or values that are not finite."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < least:
        raise DataError(
            "features-shape",
            f"{what} features have the shape {features.shape}, not [N,F] with N of at least {least}",
            fix="pass one row of features an image, of more images",
        )
    if not np.isfinite(features).all():
        raise DataError(
            "features-not-finite",
            f"{what} features hold values that are not finite",
            fix="look for the images that they come from",
        )
    return features


def pair(real: np.ndarray, fake: np.ndarray, *, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Both checked, and as wide as each other."""
    real, fake = checked(real, least=least, what="real"), checked(fake, least=least, what="fake")
    if real.shape[1] != fake.shape[1]:
        raise DataError(
            "features-width",
            f"real features are {real.shape[1]} wide, fake ones {fake.shape[1]}",
            fix="compute both with the same extractor",
        )
    return real, fake


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows of a, [rows, len(b)]): |a|^2 - 2 a.b + |b|^2, not below 0."""
    lengths = np.square(b).sum(1)
    for rows in chunks(len(a)):
        found = a[rows] @ b.T
        found *= -2
        found += lengths
        found += np.square(a[rows]).sum(1)[:, None]
        yield rows, np.maximum(found, 0, out=found)
